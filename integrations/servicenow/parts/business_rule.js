(function executeRule(current, previous) {
    TocsinTell.tell(current, '@ACTION@', '@WORDS@');
})(current, previous);
