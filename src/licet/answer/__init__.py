"""The question: may this user use this feature, and why?"""
