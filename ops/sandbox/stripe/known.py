"""What Stripe has beside what is played: paths, parameters and values, from its own client library.

They are answered with "not played". Anything else that is not played, Stripe does not know either.
"""

from __future__ import annotations

from typing import Final

from ops.sandbox.paths import Paths

# Near what is played, path by path.
_NEAR: Final = (
    "DELETE,POST /v1/customers/:id",
    "GET /v1/customers/search",
    "GET,POST /v1/customers/:id/balance_transactions",
    "GET,POST /v1/customers/:id/balance_transactions/:id",
    "GET,POST /v1/customers/:id/cash_balance",
    "GET /v1/customers/:id/cash_balance_transactions",
    "GET /v1/customers/:id/cash_balance_transactions/:id",
    "DELETE /v1/customers/:id/discount",
    "POST /v1/customers/:id/funding_instructions",
    "GET /v1/customers/:id/payment_methods",
    "GET /v1/customers/:id/payment_methods/:id",
    "GET,POST /v1/customers/:id/sources",
    "DELETE,GET,POST /v1/customers/:id/sources/:id",
    "POST /v1/customers/:id/sources/:id/verify",
    "GET,POST /v1/customers/:id/tax_ids",
    "DELETE,GET /v1/customers/:id/tax_ids/:id",
    "GET /v1/payment_intents/:id/amount_details_line_items",
    "POST /v1/payment_intents/:id/apply_customer_balance",
    "POST /v1/payment_intents/:id/capture",
    "POST /v1/payment_intents/:id/increment_authorization",
    "POST /v1/payment_intents/:id/verify_microdeposits",
    "GET,POST /v1/charges",
    "GET /v1/charges/search",
    "GET,POST /v1/charges/:id",
    "POST /v1/charges/:id/capture",
    "GET /v1/events",
    "GET /v1/events/:id",
    "GET,POST /v1/payment_methods",
    "GET,POST /v1/payment_methods/:id",
    "POST /v1/payment_methods/:id/attach",
    "POST /v1/payment_methods/:id/detach",
    "GET,POST /v1/refunds",
    "GET,POST /v1/refunds/:id",
    "POST /v1/refunds/:id/cancel",
    "GET,POST /v1/setup_intents",
    "GET,POST /v1/setup_intents/:id",
    "POST /v1/setup_intents/:id/cancel",
    "POST /v1/setup_intents/:id/confirm",
    "POST /v1/setup_intents/:id/verify_microdeposits",
    "GET,POST /v1/webhook_endpoints",
    "DELETE,GET,POST /v1/webhook_endpoints/:id",
)
# Further away, by their first part only: whether Stripe knows the rest is not looked at.
_FAR: Final = (
    "account", "account_links", "account_sessions", "accounts", "apple_pay", "application_fees",
    "apps", "balance", "balance_settings", "balance_transactions", "billing", "billing_portal",
    "checkout", "climate", "confirmation_tokens", "country_specs", "coupons", "credit_notes",
    "customer_sessions", "disputes", "entitlements", "ephemeral_keys", "exchange_rates",
    "file_links", "files", "financial_connections", "forwarding", "identity", "invoice_payments",
    "invoice_rendering_templates", "invoiceitems", "invoices", "issuing", "mandates",
    "payment_attempt_records", "payment_links", "payment_method_configurations",
    "payment_method_domains", "payment_records", "payouts", "plans", "prices", "products",
    "promotion_codes", "quotes", "radar", "reporting", "reviews", "setup_attempts",
    "shipping_rates", "sigma", "sources", "subscription_items", "subscription_schedules",
    "subscriptions", "tax", "tax_codes", "tax_ids", "tax_rates", "terminal", "test_helpers",
    "tokens", "topups", "transfers", "treasury",
)  # fmt: skip
PATHS: Final = Paths(
    *_NEAR,
    *(f"DELETE,GET,POST /v1/{root}" for root in _FAR),
    *(f"DELETE,GET,POST /v1/{root}/*" for root in _FAR),
    "DELETE,GET,POST /v2/*",
)

# Parameters of a call that is played. To ignore one would be to do something else than was asked.
_INTENT: Final = frozenset({
    "allowed_payment_method_types", "amount_details", "application_fee_amount",
    "customer_account", "excluded_payment_method_types", "expand", "hooks", "payment_details",
    "payment_method_configuration", "payment_method_data", "payment_method_options", "shipping",
    "transfer_data",
})  # fmt: skip
CREATE: Final = _INTENT | {
    "confirmation_method", "confirmation_token", "mandate", "on_behalf_of",
}  # fmt: skip
UPDATE: Final = _INTENT
CONFIRM: Final = (_INTENT - {"application_fee_amount", "customer_account", "transfer_data"}) | {
    "amount_to_confirm", "capture_method", "confirmation_token", "mandate",
    "payment_method_types", "receipt_email", "setup_future_usage",
}  # fmt: skip
LIST: Final = frozenset({"ending_before", "expand"})
CUSTOMER: Final = frozenset({
    "address", "balance", "business_name", "cash_balance", "coupon", "expand", "individual_name",
    "invoice_prefix", "invoice_settings", "next_invoice_sequence", "payment_method",
    "preferred_locales", "promotion_code", "shipping", "source", "tax", "tax_exempt",
    "tax_id_data", "test_clock", "validate",
})  # fmt: skip

#: Types of payment method beside `card`.
METHOD_TYPES: Final = frozenset({
    "acss_debit", "affirm", "afterpay_clearpay", "alipay", "alma", "amazon_pay", "au_becs_debit",
    "bacs_debit", "bancontact", "billie", "blik", "boleto", "card_present", "cashapp", "crypto",
    "customer_balance", "eps", "fpx", "giropay", "grabpay", "ideal", "interac_present",
    "kakao_pay", "klarna", "konbini", "kr_card", "link", "mb_way", "mobilepay", "multibanco",
    "naver_pay", "nz_bank_account", "oxxo", "p24", "pay_by_bank", "payco", "paynow", "paypal",
    "payto", "pix", "promptpay", "revolut_pay", "samsung_pay", "satispay", "sepa_debit", "sofort",
    "sunbit", "swish", "twint", "upi", "us_bank_account", "wechat_pay", "zip",
})  # fmt: skip
