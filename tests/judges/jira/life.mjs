// One issue's life through jira.js, whose zod schemas check every answer: a mismatch throws.
import { pathToFileURL } from 'node:url';
import { readFileSync } from 'node:fs';
import path from 'node:path';

const home = process.env.JIRA_JS;
const { exports: entries, main, module } = JSON.parse(readFileSync(path.join(home, 'package.json'), 'utf8'));
const entry = entries?.['.']?.import?.default ?? entries?.['.']?.import ?? module ?? main;
const { createCloudClient } = await import(pathToFileURL(path.join(home, entry)));

const jira = createCloudClient({
  host: process.argv[2],
  onSchemaMismatch: 'throw',
  auth: { type: 'basic', email: 'clara@example.org', apiToken: 'tocsin' },
});
const doc = (text) => ({
  type: 'doc',
  version: 1,
  content: [{ type: 'paragraph', content: [{ type: 'text', text }] }],
});

await jira.serverInfo.getServerInfo();
await jira.myself.getCurrentUser();
const types = await jira.issues.getCreateIssueMetaIssueTypes({ projectIdOrKey: 'OPS' });
const incident = types.issueTypes.find((one) => one.name === 'Incident');
const meta = await jira.issues.getCreateIssueMetaIssueTypeId({ projectIdOrKey: 'OPS', issueTypeId: incident.id });
const required = meta.fields.filter((one) => one.required && one.fieldId.startsWith('customfield')).map((one) => one.fieldId);

const made = await jira.issues.createIssue({
  fields: {
    project: { key: 'OPS' },
    issuetype: { name: 'Incident' },
    summary: 'Checkout is slow',
    labels: ['tocsin-1'],
    description: doc('p99 4.1 s'),
    customfield_10042: { value: 'Search' },
  },
  properties: [{ key: 'tocsin', value: { key: '1' } }],
});
const issueIdOrKey = made.key;
const search = jira.issueSearch.searchForIssuesUsingJqlEnhancedSearchPost
  ?? jira.issueSearch.searchAndReconsileIssuesUsingJqlPost;
const found = await search({ jql: 'labels = tocsin-1', fields: ['summary', 'status', 'labels'], properties: ['tocsin'] });
await jira.issueRemoteLinks.createOrUpdateRemoteIssueLink({
  issueIdOrKey,
  globalId: 'tocsin:1',
  application: { type: 'dev.tocsin', name: 'Tocsin' },
  object: { url: 'https://example.org', title: 'Runbook' },
});
await jira.issueRemoteLinks.getRemoteIssueLinks({ issueIdOrKey });
await jira.issueComments.addComment({ issueIdOrKey, body: doc('Looking.'), properties: [{ key: 'tocsin-note', value: 'n' }] });
await jira.issueComments.getComments({ issueIdOrKey, expand: 'properties' });
await jira.issues.editIssue({ issueIdOrKey, fields: { priority: { name: 'Low' } } });
const ways = await jira.issues.getTransitions({ issueIdOrKey, expand: 'transitions.fields' });
const way = ways.transitions.find((one) => one.to.statusCategory.key === 'done');
await jira.issues.doTransition({ issueIdOrKey, transition: { id: way.id }, fields: { resolution: { name: 'Done' } } });
const issue = await jira.issues.getIssue({ issueIdOrKey, expand: 'transitions,changelog' });
await jira.issues.getChangeLogs({ issueIdOrKey });
await jira.issues.bulkFetchIssues({ issueIdsOrKeys: [issueIdOrKey, 'OPS-99'], fields: ['labels', 'status'] });
await jira.issueLinkTypes.getIssueLinkTypes();
await jira.issueProperties.setIssueProperty({ issueIdOrKey, propertyKey: 'tocsin', body: { key: '2' } });
await jira.issueProperties.getIssueProperty({ issueIdOrKey, propertyKey: 'tocsin' });

console.log(JSON.stringify({ found: found.issues.map((one) => one.key), status: issue.fields.status.name, required }));
