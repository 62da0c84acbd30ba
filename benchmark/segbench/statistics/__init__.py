"""How sure a score is: intervals by resampling, and tests of paired differences."""
