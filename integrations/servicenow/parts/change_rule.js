(function executeRule(current, previous) {
    TocsinTell.tellChange(current);
})(current, previous);
