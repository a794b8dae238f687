/* SPDX-License-Identifier: Apache-2.0 */
/* gcs: Google Cloud Storage's JSON API on 127.0.0.1, for tests.
 *
 *   gcs [--port N] [--bucket NAME]... [--directory DIR] [--durable] [--anonymous]
 *       [--service-account EMAIL=PUBLIC.pem]... [--reader EMAIL=PUBLIC.pem]... [--subject-token TEXT]
 *       [--refresh-token TEXT] [--token-seconds N] [--session-seconds N] [--fail-... (fault.h)] [--guard]
 * [--log]
 *
 * Prints "listening on 127.0.0.1:PORT" when it is ready. Ends on SIGTERM and SIGINT, with --guard also when
 * the process that started it is gone. Objects are in memory, with --directory on a disk, with --durable only
 * answered for when they are there, as Google's are.
 *
 * Addresses other than the service's:
 *
 * - POST /token: a service account's JWT, or a refresh token;
 * - POST /v1/token: token exchange;
 * - POST /v1/projects/-/serviceAccounts/EMAIL:generateAccessToken;
 * - GET /computeMetadata/v1/instance/service-accounts/default/token.
 *
 * A token's audience is the address it is asked at. The words after --subject-token and --refresh-token are
 * made up by the test; they are no secrets. */
#include "gcs.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define CONNECTIONS_MAX 512

struct server server = {.lock = PTHREAD_MUTEX_INITIALIZER,
                        .token_seconds = 3600,
                        .session_seconds = 7 * 24 * 3600,
                        .faults = FAULTS_DEFAULT};

/* Options without a value. */
static bool set_flag(const char *name)
{
    if (!strcmp(name, "--anonymous"))
        server.anonymous = true;
    else if (!strcmp(name, "--durable"))
        server.durable = true;
    else if (!strcmp(name, "--log"))
        server.log = true;
    else if (!strcmp(name, "--guard"))
        prctl(PR_SET_PDEATHSIG, SIGTERM);
    else
        return false;
    return true;
}

static bool set_option(const char *name, const char *value)
{
    if (!strcmp(name, "--port"))
        server.port = (int)strtol(value, NULL, 10);
    else if (!strcmp(name, "--bucket"))
        return bucket_create(value) == MHD_HTTP_OK;
    else if (!strcmp(name, "--directory"))
        server.directory = value;
    else if (!strcmp(name, "--service-account") || !strcmp(name, "--reader"))
        return token_add_account(value, !strcmp(name, "--reader")) == 0;
    else if (!strcmp(name, "--subject-token"))
        token_subject = value;
    else if (!strcmp(name, "--refresh-token"))
        token_refresh = value;
    else if (!strcmp(name, "--token-seconds"))
        server.token_seconds = strtoll(value, NULL, 10);
    else if (!strcmp(name, "--session-seconds"))
        server.session_seconds = strtoll(value, NULL, 10);
    else
        return fault_option(&server.faults, name, value) == 1;
    return true;
}

static int parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (set_flag(argv[i]))
            continue;
        if (i + 1 == argc || !set_option(argv[i], argv[i + 1])) {
            fprintf(stderr, "gcs: option %s is unknown, or its value is wrong; main.c has the list\n",
                    argv[i]);
            return -1;
        }
        i++;
    }
    return 0;
}

/* An object is an open file. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static struct MHD_Daemon *start(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)server.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0,
                            NULL, NULL, request_more, NULL, MHD_OPTION_SOCK_ADDR, &address,
                            MHD_OPTION_URI_LOG_CALLBACK, request_new, NULL, MHD_OPTION_NOTIFY_COMPLETED,
                            request_done, NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)(1 << 20),
                            MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_LISTENING_ADDRESS_REUSE,
                            1U, MHD_OPTION_END);
}

int main(int argc, char **argv)
{
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL); /* inherited by the threads; taken below */
    signal(SIGPIPE, SIG_IGN);
    raise_file_limit();
    if (parse(argc, argv) < 0)
        return 2;
    struct MHD_Daemon *daemon = start();
    if (!daemon) {
        perror("gcs: cannot listen");
        return 1;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
    server.port = info ? info->port : server.port;
    printf("listening on 127.0.0.1:%d\n", server.port);
    fflush(stdout);
    int signal_number;
    sigwait(&ends, &signal_number);
    MHD_stop_daemon(daemon);
    return 0;
}
