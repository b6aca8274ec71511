#!/bin/sh
# Makes the secrets that docker-compose.yml and the systemd units read: passwords, keys, tokens.
#
#   ops/deploy/secrets.sh [--demo] [--redis HOST:PORT] [FOLDER]
#
# FOLDER is `secrets` if not given, --redis `redis:6379`. What is there is left as it is, so it can
# be run again. --demo adds the sandbox's credentials, which open nothing else, and a .env that
# sends all calls to the sandbox. Needs openssl.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
demo= redis=redis:6379 folder=secrets
while [ $# -gt 0 ]; do
  case $1 in
    --demo) demo=yes ;;
    --redis) redis=${2:?--redis needs HOST:PORT}; shift ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "secrets.sh: there is no $1 (--help)" >&2; exit 2 ;;
    *) folder=$1 ;;
  esac
  shift
done
command -v openssl >/dev/null || { echo "secrets.sh: openssl is not there" >&2; exit 1; }

# Containers read the files under another user, so the files are readable, and the folder is not.
umask 022
mkdir -p "$folder/providers"
chmod 700 "$folder"
cd "$folder"

put() { # NAME: standard input into it, at once or not at all, unless it is there
  if [ -e "$1" ]; then cat >/dev/null; return; fi
  cat >"$1.new" && mv "$1.new" "$1"
  echo "made $folder/$1"
}
word() { openssl rand -hex "${1:-24}"; }
hash() { printf %s "$(cat "$1")" | openssl dgst -sha256 -r | cut -d' ' -f1; }

for user in durazzo flower metrics admin; do word | put "redis_${user}_password"; done
echo "redis://durazzo:$(cat redis_durazzo_password)@$redis/0" | put redis_url
for user in flower metrics; do
  echo "redis://$user:$(cat redis_${user}_password)@$redis/0" | put "${user}_redis_url"
done
sed -e "s/DURAZZO_PASSWORD_SHA256/$(hash redis_durazzo_password)/" \
    -e "s/FLOWER_PASSWORD_SHA256/$(hash redis_flower_password)/" \
    -e "s/METRICS_PASSWORD_SHA256/$(hash redis_metrics_password)/" \
    -e "s/ADMIN_PASSWORD_SHA256/$(hash redis_admin_password)/" "$here/../redis/users.acl" | put redis_users
openssl rand -base64 32 | put durazzo_keys
echo "ops:$(word 12)" | put flower_basic_auth
word | put metrics_token
word | put sandbox_token

if [ -n "$demo" ]; then
  printf %s sk_test_sandbox51Look4Alike7Only9NoMoney3 | put providers/STRIPE_SECRET_KEY
  printf %s AC5a4db0c5a4db0c5a4db0c5a4db0c5a4d | put providers/TWILIO_ACCOUNT_SID
  printf %s 0ddba11feedc0de50ddba11feedc0de5 | put providers/TWILIO_AUTH_TOKEN
  cd - >/dev/null
  [ -e .env ] || cat >.env <<'ENV'
DURAZZO_SERVERS={"https://api.stripe.com":"http://sandbox:8099/stripe","https://api.twilio.com":"http://sandbox:8099/twilio"}
ENV
fi
echo "Flower's login is in $folder/flower_basic_auth, the metrics' token in $folder/metrics_token."
echo "The providers' credentials are yours to add: one file a secret, in $folder/providers."
