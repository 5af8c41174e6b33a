"""Django settings. Every outside value comes through `vsm_site.environment`; nothing here reads `os.environ`."""

from __future__ import annotations

import secrets
from pathlib import Path

import dj_database_url

from vsm_site.environment import ConfigurationError, credentials, load, subsystem_log_levels
from vsm_site.languages import CATALOGUES, installed

ENV = load()
BASE_DIR = Path(__file__).resolve().parent.parent
PROFILE = ENV.profile
EMBEDDED = PROFILE == "embedded"
HOME = ENV.home


def _secret_key() -> str:
    """Return the configured key, or one made on the first run and kept in a file only its owner can read."""
    if ENV.secret_key:
        return ENV.secret_key
    path = HOME / "secret_key"
    if not path.exists():
        try:
            HOME.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
        except OSError as error:
            raise ConfigurationError(f"VSM_HOME: {HOME} cannot be written to ({error.strerror}).") from None
        path.write_text(secrets.token_urlsafe(50))
    return path.read_text().strip()


SECRET_KEY = _secret_key()
DEBUG = ENV.debug
ALLOWED_HOSTS = [host.strip() for host in ENV.allowed_hosts.split(",") if host.strip()]
CSRF_TRUSTED_ORIGINS = [origin.strip() for origin in ENV.trusted_origins.split(",") if origin.strip()]

INSTALLED_APPS = [
    "vsm_site",
    "vsm_site.dashboard",
    "alerts",
    "subsystems.health",
    "subsystems.s5_policy",
    "subsystems.s4_intelligence",
    "subsystems.s3_control",
    "subsystems.s2_coordination",
    "subsystems.fleets",
    "subsystems.s1_operations",
    "subsystems.variety",
    "subsystems.telemetry",
    "subsystems.algedonic",
    "subsystems.messaging",
    "subsystems.event_log",
    "subsystems.recursion",
    "vsm_site.back_office.apps.BackOfficeConfig",  # the admin, loaded when somebody opens it
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_celery_beat",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "axes",
    "csp",
]

# --- Languages ------------------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"  # of the API, the log and everything that is kept
LANGUAGES = installed()
LOCALE_PATHS = [CATALOGUES]

MIDDLEWARE = [
    "vsm_site.recording.record_requests",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    *(["vsm_site.readers_language.ReadersLanguage"] if len(LANGUAGES) > 1 else []),
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "vsm_site.urls"
ASGI_APPLICATION = "vsm_site.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            # Every page has texts to translate, and times.
            "builtins": [
                "django.templatetags.i18n",
                "vsm_site.dashboard.templatetags.texts",
                "vsm_site.dashboard.templatetags.moments",
            ],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# --- Database -------------------------------------------------------------------------------------------------------
_SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    # A statement's own journal is kept in memory: as a file it made the event log write twenty times what it holds.
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=20000;"
    " PRAGMA temp_store=MEMORY;",
}
if ENV.database_url:
    DATABASES = {"default": dj_database_url.parse(ENV.database_url, conn_max_age=60, conn_health_checks=True)}
else:
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": HOME / "vsm.sqlite3"}}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["ENGINE"] = "vsm_site.sqlite"
    DATABASES["default"]["OPTIONS"] = _SQLITE_OPTIONS
    # A file even in tests: worker threads share it, which an in-memory database cannot do under WAL.
    DATABASES["default"]["TEST"] = {"NAME": HOME / "test.sqlite3"}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Broker and Channels --------------------------------------------------------------------------------------------
BROKER_URL = ENV.broker_url or "vsm://"
REDIS_URL = ENV.redis_url
CHANNEL_LAYERS = {
    "default": (
        {"BACKEND": "vsm_site.layers.ThreadSafeInMemoryChannelLayer"}
        if EMBEDDED
        else {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [REDIS_URL]}}
    )
}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# --- What the platform itself needs -----------------------------------------------------------------------------------
# Redis is named, not imported: its client takes 30 MB that the embedded profile can do without.
HOT_TIER = f"subsystems.telemetry.{'memory.MemoryHotTier' if EMBEDDED else 'redis_tier.RedisHotTier'}"
LIVE_SEQUENCE = f"subsystems.messaging.{'live.MemorySequence' if EMBEDDED else 'redis_sequence.RedisSequence'}"
RATE_LIMITER = f"subsystems.messaging.{'memory_limiter.MemoryLimiter' if EMBEDDED else 'redis_limiter.RedisLimiter'}"
CHANNEL_LAYER_ERRORS = [] if EMBEDDED else ["redis.exceptions.RedisError"]
HOT_MAX_SAMPLES = ENV.hot_max_samples
RECORD_OPERATIONS = True  # by a thread of each process in which something happens
MAX_SERIES = ENV.max_series  # of a system
ARCHIVE_URL, ARCHIVE_DAYS = ENV.archive_url, ENV.archive_days
HTTP_ALLOW = [entry.strip() for entry in ENV.http_allow.split(",") if entry.strip()]
LAUNCHERS = [kind.strip() for kind in ENV.launchers.split(",") if kind.strip()]  # that may be used here
CREDENTIALS, CREDENTIALS_DIR = credentials(), ENV.credentials_dir  # what may be named in place of a secret
EXTERNAL_URL = ENV.external_url or f"http://localhost:{ENV.port}"  # how people reach this platform: links lead there
HEARTBEAT_URL = ENV.heartbeat_url  # asked each minute while the platform works
INGEST_MAX_BYTES = ENV.ingest_max_bytes
INGEST_RATE, INGEST_BURST = ENV.ingest_rate, ENV.ingest_burst
# What can be switched off, and what the parts agree on; `vsm_site.configuration` tells it to people and programs.
TELEMETRY, RATE_LIMITING, EVENT_PROCESSING = ENV.telemetry, ENV.rate_limiting, ENV.event_processing
MESSAGE_FORMAT_VERSION, TELEMETRY_BATCH_SIZE = ENV.message_format_version, ENV.telemetry_batch_size
RATE_LIMIT_BYPASS_CRITICAL = ENV.rate_limit_bypass_critical
PATTERN_DETECTION_SENSITIVITY = ENV.pattern_detection_sensitivity
# What raises the pain that a rejection is: a room above messaging, so it is named here.
RATE_LIMIT_ESCALATION = "subsystems.algedonic.services.raise_signal"
FLOWER_PORT = ENV.flower_port
ALERT_SHARDS = 1 if EMBEDDED else 2  # of the rules, evaluated side by side
# Hints and the Celery tasks that hear them: what may be missed without harm. What must arrive is a message.
HINTS: dict[str, list[str]] = {
    "collection.completed": ["alerts.evaluate", "health.assess_early"],
    "alerts.changed": ["alerts.group"],
    "alerts.notifications_due": ["alerts.notify"],
}
ADAPTER_ENTRY_POINTS = "vsm.adapters"

# --- People ---------------------------------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "vsm_site.dashboard.people.PeopleBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
AXES_LOCKOUT_CALLABLE = "vsm_site.api.problems.locked_out"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/dashboard/"

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = ENV.secure_cookies
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    },
}

# --- API ------------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "vsm_site.api.authentication.BearerAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["vsm_site.api.permissions.HasScope"],
    "DEFAULT_PARSER_CLASSES": ["vsm_site.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": [
        "vsm_site.api.renderers.StrictJSONRenderer",
        "vsm_site.api.renderers.BrowsablePages",
    ],
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "DEFAULT_PAGINATION_CLASS": "vsm_site.api.pagination.Pages",
    "DEFAULT_FILTER_BACKENDS": [
        "django_filters.rest_framework.DjangoFilterBackend",
        "rest_framework.filters.OrderingFilter",
    ],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "vsm_site.api.problems.handle",
    "DEFAULT_THROTTLE_CLASSES": [
        "rest_framework.throttling.UserRateThrottle",
        "rest_framework.throttling.AnonRateThrottle",
    ],
    "DEFAULT_THROTTLE_RATES": {"user": "3000/min", "anon": "60/min"},
    "COERCE_DECIMAL_TO_STRING": False,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "VSM platform",
    "VERSION": "1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SERVE_PERMISSIONS": ["vsm_site.api.permissions.HasScope"],
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "UnitState": "subsystems.s1_operations.models.Unit.State",
        "FindingState": "subsystems.s3_control.audit.models.Finding.State",
        "RunState": "subsystems.s3_control.models.TaskRun.State",
        "RecommendationKind": "subsystems.s3_control.models.Recommendation.Kind",
        "PermissionMode": "subsystems.s3_control.models.ActionPolicy.Mode",
        "ScalingMode": "subsystems.s3_control.scaling.models.ScalingPolicy.Mode",
        "LauncherKind": "subsystems.s3_control.launching.models.Launcher.Kind",
        "PoolKind": "subsystems.s3_control.bargaining.models.ResourcePool.Kind",
        "BargainOrigin": "subsystems.s3_control.bargaining.models.Bargain.Origin",
        "BargainState": "subsystems.s3_control.bargaining.models.Bargain.State",
        "MessageState": "subsystems.messaging.models.Message.State",
        "AlertState": "alerts.models.Alert.State",
        "LackPolicy": "alerts.models.AlertRule.Policy",
        "NotificationState": "alerts.models.Notification.State",
        "SilenceState": ["pending", "active", "expired"],
        "Severity": "alerts.models.Severity",
        "SignalSeverity": "subsystems.algedonic.models.Signal.Severity",
        "SignalState": "subsystems.algedonic.models.Signal.State",
        "VarietyBand": "subsystems.telemetry.requisite.Band",
        "SignalOrigin": "vsm_site.api.signals.ORIGINS",
        "SignalType": "subsystems.algedonic.models.Signal.Type",
        "CheckState": ["new", "up", "late", "down", "paused"],
        "MeasuringStatus": ["measured", "no_data"],
        "PingKind": "alerts.checks.models.Ping.Kind",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "vsm_site.api.schema.complete",
    ],
}
DATA_UPLOAD_MAX_MEMORY_SIZE = ENV.ingest_max_bytes

# --- Files, time, logs ----------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True  # files are served from where they lie; there is no collecting step to forget
WHITENOISE_AUTOREFRESH = DEBUG
USE_TZ = True
TIME_ZONE = "UTC"
PEOPLES_TIME_ZONE = ENV.time_zone  # of pages, for whoever has chosen none and whose browser tells none
_CHATTY = {
    name: {"level": "WARNING"} for name in ("celery", "kombu", "httpx", "uvicorn")
}  # a line per task and request
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname:<7} {name}: {message}", "style": "{"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "line"},
        # A copy of the signed ends of the event log outside the database; `verify_events --checkpoints` reads it.
        "event_checkpoints": {
            "class": "logging.handlers.WatchedFileHandler",
            "filename": HOME / "event_checkpoints.log",
            "formatter": "line",
            "delay": True,
        },
    },
    "root": {"handlers": ["console"], "level": ENV.log_level},
    "loggers": {
        "axes": {"level": "WARNING"},
        "subsystems.event_log.checkpoints": {"level": "INFO", "handlers": ["event_checkpoints"], "propagate": True},
        **({} if ENV.log_level == "DEBUG" else _CHATTY),
        **{name: {"level": level} for name, level in subsystem_log_levels().items()},
    },
}
