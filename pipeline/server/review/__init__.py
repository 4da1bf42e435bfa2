"""The page on which people look at ten thousand masks, judge them and correct them."""
