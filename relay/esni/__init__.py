"""Event scheduling and notification (ANSI/SCTE 224) as blackouts and policies of place, and back. All of it pure."""
