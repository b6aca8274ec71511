"""The same flow in Arazzo and OSOP lowers to equal plans."""

# ruff: noqa: E501 - documents are shorter to read on one line
from __future__ import annotations

from orchestrator.plan.codec import encode
from tests.unit.formats.loading import Shelf, loaded

SHOP = """
openapi: 3.1.0
servers: [{url: https://api.stripe.com}]
paths:
  /v1/customers:
    post:
      operationId: createCustomer
      requestBody: {content: {application/x-www-form-urlencoded: {}}}
  /v1/customers/{id}:
    get: {operationId: getCustomer, parameters: [{name: id, in: path, required: true}]}
  /v1/notes:
    post:
      operationId: createNote
      requestBody: {content: {application/x-www-form-urlencoded: {}}}
"""

IN_ARAZZO = """
arazzo: 1.0.1
info: {title: t, version: "1"}
sourceDescriptions: [{name: shop, url: shop.yaml, type: openapi}]
workflows:
- workflowId: greet
  inputs: {type: object, properties: {email: {type: string}, age: {type: integer}}, required: [email]}
  steps:
  - stepId: create
    operationId: createCustomer
    requestBody:
      contentType: application/x-www-form-urlencoded
      payload: {email: $inputs.email, age: $inputs.age, metadata: {source: "mail {$inputs.email}"}}
    outputs: {customer: $response.body#/id}
  - stepId: look-up
    operationId: getCustomer
    parameters: [{name: id, in: path, value: $steps.create.outputs.customer}]
    outputs: {name: $response.body#/profile/name}
  - stepId: note
    operationId: createNote
    parameters: [{name: X-Name, in: header, value: $steps.look-up.outputs.name}]
    requestBody: {payload: {text: "Hello {$steps.look-up.outputs.name}!", urgent: false}}
  outputs: {customer: $steps.create.outputs.customer}
"""

IN_OSOP = """
osop_version: "1.0"
id: greet
inputs: {email: {type: string, required: true}, age: {type: integer}}
outputs: {customer: "${create.customer}"}
nodes:
- id: create
  type: api
  runtime:
    method: POST
    url: https://api.stripe.com/
    endpoint: /v1/customers
    body: {email: "${inputs.email}", age: "${inputs.age}", metadata: {source: "mail ${inputs.email}"}}
  outputs: [{customer: data.id}]
- id: look-up
  type: api
  runtime: {method: GET, url: "https://api.stripe.com", endpoint: "/v1/customers/${create.customer}"}
  outputs: [{name: data.profile.name}]
- id: note
  type: api
  runtime:
    method: POST
    url: https://api.stripe.com
    endpoint: /v1/notes
    headers: {Content-Type: application/x-www-form-urlencoded, X-Name: "${outputs.look_up.name}"}
    body: {text: "Hello ${look-up.name}!", urgent: false}
edges:
- {from: create, to: look-up}
- {from: look-up, to: note, mode: sequential}
"""


def test_the_same_flow_in_arazzo_and_osop_lowers_to_equal_plans() -> None:
    arazzo = loaded(IN_ARAZZO, sources=Shelf({"shop": SHOP}))
    osop = loaded(IN_OSOP)
    assert arazzo.diagnostics == osop.diagnostics == ()
    assert arazzo.plan == osop.plan
    assert encode(arazzo.plan) == encode(osop.plan)
