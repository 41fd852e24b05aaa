// A person says: yes, this change caused the incident. Tocsin learns from it, as it does from no guess of its own.
(function () {
    var change = new GlideRecord('change_request');
    var found = change.get('number', TocsinTell.likelyChange(current.description));
    action.setRedirectURL(current);
    if (!found) {
        gs.addErrorMessage('Tocsin names no change that exists here. Choose one in Caused by Change.');
        return;
    }
    current.caused_by = change.getUniqueValue();
    current.work_notes = change.getDisplayValue() + ' is confirmed as the cause by ' + gs.getUserDisplayName() + '.';
    current.update();
    gs.addInfoMessage(change.getDisplayValue() + ' is now this incident\'s cause.');
})();
