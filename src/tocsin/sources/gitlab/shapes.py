"""What do GitLab's webhook bodies look like, as far as we read them?"""

from __future__ import annotations

from tocsin.sources._delivery import Body, Words
from tocsin.sources._shape import Name


class Project(Body):
    name: Words = ""
    path_with_namespace: Words = ""
    web_url: Words = ""
    homepage: Words = ""


class User(Body):
    username: Words = ""
    name: Words = ""


class Deployment(Body):
    status: Name
    project: Project
    deployment_id: Words = ""
    deployable_id: Words = ""
    deployable_url: Words = ""
    status_changed_at: Words = ""
    environment: Words = ""
    environment_tier: Words = ""
    ref: Words = ""
    short_sha: Words = ""
    commit_url: Words = ""
    commit_title: Words = ""
    user: User | None = None


class PipelineAttributes(Body):
    id: Name
    status: Name
    ref: Words = ""
    name: Words = ""
    sha: Words = ""
    source: Words = ""
    url: Words = ""
    created_at: Words = ""
    finished_at: Words = ""


class Pipeline(Body):
    object_attributes: PipelineAttributes
    project: Project
    user: User | None = None


class Repository(Body):
    name: Words = ""
    homepage: Words = ""


class Environment(Body):
    name: Words = ""
    action: Words = ""
    deployment_tier: Words = ""


class Job(Body):
    build_id: Name
    build_name: Name
    build_status: Name
    build_stage: Words = ""
    build_created_at: Words = ""
    build_started_at: Words = ""
    build_finished_at: Words = ""
    ref: Words = ""
    sha: Words = ""
    pipeline_id: Words = ""
    project_name: Words = ""
    project_id: Words = ""
    project: Project | None = None
    repository: Repository | None = None
    environment: Environment | None = None
    user: User | None = None


class Release(Body):
    action: Name
    tag: Name
    project: Project
    name: Words = ""
    url: Words = ""
    created_at: Words = ""
    released_at: Words = ""


class TagPush(Body):
    ref: Name
    after: Words = ""
    checkout_sha: Words = ""
    user_username: Words = ""
    user_name: Words = ""
    project: Project


class FlagAttributes(Body):
    id: Words = ""
    name: Name
    active: bool


class Flag(Body):
    object_attributes: FlagAttributes
    project: Project
    user: User | None = None
