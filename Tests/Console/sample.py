# Keyvane
# SPDX-License-Identifier: Apache-2.0
#
# A dotenv as projects have it: 200 lines with comments, quotes, exports, several lines in one value, colours and addresses.

HEAD = r'''# Application
NODE_ENV=production
APP_NAME="Acme Web"
APP_URL=https://www.acme.example
export PORT=8080
LOG_LEVEL=info   # debug, info, warn, error
LOG_FORMAT='json'
TIMEZONE=Europe/Berlin
THEME_COLOR=#2c55dc
SUPPORT_LINK=https://www.acme.example/help#contact

# Database
DATABASE_URL=postgres://acme:s3cr3t@db.internal:5432/acme?sslmode=require
DATABASE_POOL_SIZE=20
DATABASE_PASSWORD="p@ss word with \"quotes\" and $dollar"
DATABASE_STATEMENT_TIMEOUT=5s

# Cache
REDIS_URL=redis://cache.internal:6379/0
CACHE_TTL_SECONDS=300

# Mail
SMTP_HOST=smtp.internal
SMTP_PORT=587
SMTP_USER=mailer
SMTP_PASSWORD='literal $HOME \n stays'
MAIL_FROM="Acme <hello@acme.example>"

# Keys
JWT_SECRET=`tick "quoted" 'both'`
STRIPE_API_KEY=sk_live_51HxExample
SENTRY_DSN=https://abc@sentry.internal/7
SESSION_SECRET = "spaces around the sign"
TLS_CERTIFICATE="-----BEGIN CERTIFICATE-----
MIIBszCCAVmgAwIBAgIUExampleExampleExampleExample
ZXhhbXBsZSBleGFtcGxlIGV4YW1wbGUgZXhhbXBsZQ==
-----END CERTIFICATE-----"
GREETING="two\nlines\tand a tab"
WINDOWS_PATH=C:\acme\data
EMPTY=
QUOTED_EMPTY=""
'''


def dotenv(lines=200):
    rows = HEAD.splitlines()
    area = ["SEARCH", "BILLING", "CHECKOUT", "PROFILE", "REPORTS", "EXPORT", "INVITES", "AUDIT"]
    kinds = [("FEATURE_{}_ENABLED", "true"), ("{}_TIMEOUT_MS", "2500"), ("{}_BATCH_SIZE", "100"), ("{}_ENDPOINT", "https://{}.internal/v2"), ("{}_RETRIES", "3")]
    number = 0
    while len(rows) < lines:
        pattern, value = kinds[number % len(kinds)]
        name = area[number // len(kinds) % len(area)]
        suffix = number // (len(kinds) * len(area))
        name = name if suffix == 0 else f"{name}_{suffix + 1}"
        rows.append(f"{pattern.format(name)}={value.format(name.lower().replace('_', '-'))}")
        number += 1
    return "\n".join(rows[:lines]) + "\n"


if __name__ == "__main__":
    print(dotenv(), end="")
