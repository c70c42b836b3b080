"""Hold cues until their picture is out for the subscriber in question, then fan them out."""
