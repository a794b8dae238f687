/* SPDX-License-Identifier: Apache-2.0 */
/* nacre-csi: starts the server, waits for a signal, stops it. All signals that end the program are blocked
 * before the first thread starts, and taken by sigwait, so that no handler runs anywhere. Exit codes: 0 ended
 * as asked, 1 failed, 2 usage. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cancel.h"
#include "common/err.h"
#include "common/log.h"
#include "provisioner/endpoint.h"
#include "provisioner/identity.h"
#include "provisioner/methods.h"
#include "provisioner/server.h"

#define WORKERS 16
#define GRACE_MS 10000

struct arguments {
    const char *endpoint;
    char path[ENDPOINT_SIZE];
    char csi_name[64];
    struct driver_settings settings;
};

static const char help[] =
    "nacre-csi: the CSI driver of nacre.\n"
    "\n"
    "Usage: nacre-csi --endpoint unix:///PATH --driver DRIVER --node-id ID [OPTION...]\n"
    "\n"
    "Options:\n"
    "  --endpoint unix:///PATH  the socket to listen on (default: $CSI_ENDPOINT)\n"
    "  --driver DRIVER          the volume driver: rbd, cephfs or hostpath\n"
    "  --driver-name NAME       the name in StorageClasses (default: DRIVER.nacre)\n"
    "  --node-id ID             the name of this node, as Kubernetes knows it\n"
    "  --controller             serve what runs once in a cluster\n"
    "  --node                   serve what runs on every node; without either, both\n"
    "  --cluster-config FILE    the configuration that names the clusters\n"
    "  -v, --verbose            say more on standard error; twice for all\n"
    "  --help                   show this, and end\n"
    "  --version                show the version, and end\n"
    "\n"
    "This version answers the Identity service; other services are UNIMPLEMENTED.\n";

enum {
    OPT_ENDPOINT = 256,
    OPT_DRIVER,
    OPT_NAME,
    OPT_NODE_ID,
    OPT_CONTROLLER,
    OPT_NODE,
    OPT_CONFIG,
    OPT_HELP,
    OPT_VERSION
};

static const struct option options[] = {
    {"endpoint", required_argument, NULL, OPT_ENDPOINT},
    {"driver", required_argument, NULL, OPT_DRIVER},
    {"driver-name", required_argument, NULL, OPT_NAME},
    {"node-id", required_argument, NULL, OPT_NODE_ID},
    {"controller", no_argument, NULL, OPT_CONTROLLER},
    {"node", no_argument, NULL, OPT_NODE},
    {"cluster-config", required_argument, NULL, OPT_CONFIG},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

/* Flushes, so that a full disk behind standard output is an error. */
static int print(const char *text)
{
    return fputs(text, stdout) < 0 || fflush(stdout) != 0;
}

/* The exit code when an option ends the program, -1 to go on. */
static int take_option(int option, struct arguments *arguments, int *verbosity)
{
    struct driver_settings *settings = &arguments->settings;
    switch (option) {
    case OPT_ENDPOINT:
        arguments->endpoint = optarg;
        return -1;
    case OPT_DRIVER:
        settings->volume_driver = optarg;
        return -1;
    case OPT_NAME:
        settings->csi_name = optarg;
        return -1;
    case OPT_NODE_ID:
        settings->node_id = optarg;
        return -1;
    case OPT_CONTROLLER:
        settings->controller = true;
        return -1;
    case OPT_NODE:
        settings->node = true;
        return -1;
    case OPT_CONFIG:
        settings->cluster_config = optarg;
        return -1;
    case 'v':
        ++*verbosity;
        return -1;
    case OPT_HELP:
        return print(help);
    case OPT_VERSION:
        return print("nacre-csi " NACRE_VERSION "\n");
    default:
        fputs("try: nacre-csi --help\n", stderr);
        return 2;
    }
}

/* A domain name of at most 63 bytes, as the specification wants it. */
static bool csi_name_valid(const char *name)
{
    size_t size = strlen(name);
    return size && size <= 63 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") == size &&
           !strchr("-.", name[0]) && !strchr("-.", name[size - 1]);
}

static int check_arguments(struct arguments *arguments, struct nacre_err *e)
{
    struct driver_settings *settings = &arguments->settings;
    static const char *const drivers[] = {"rbd", "cephfs", "hostpath"};
    bool known = false;
    for (size_t i = 0; settings->volume_driver && i < sizeof drivers / sizeof *drivers; i++)
        known |= !strcmp(settings->volume_driver, drivers[i]);
    if (!known)
        return err_set(e, NACRE_INVALID, "--driver must be rbd, cephfs or hostpath%s%.100s",
                       settings->volume_driver ? ", not " : "",
                       settings->volume_driver ? settings->volume_driver : "");
    if (!arguments->endpoint)
        return err_set(e, NACRE_INVALID, "--endpoint unix:///PATH is missing, and CSI_ENDPOINT is not set");
    if (!settings->node_id || !*settings->node_id || strlen(settings->node_id) > 256)
        return err_set(e, NACRE_INVALID, "--node-id is missing, or longer than 256 bytes");
    if (!settings->csi_name) {
        snprintf(arguments->csi_name, sizeof arguments->csi_name, "%s.nacre", settings->volume_driver);
        settings->csi_name = arguments->csi_name;
    }
    if (!csi_name_valid(settings->csi_name))
        return err_set(e, NACRE_INVALID, "--driver-name \"%.100s\" is not a domain name of at most 63 bytes",
                       settings->csi_name);
    if (!settings->controller && !settings->node)
        settings->controller = settings->node = true;
    return endpoint_path(arguments->endpoint, arguments->path, e);
}

static int serve(const struct arguments *arguments, const sigset_t *signals, struct nacre_err *e)
{
    struct driver_settings settings = arguments->settings;
    struct server *server = NULL;
    if (identity_ready(&settings, e) < 0 ||
        server_start(arguments->path, csi_methods, &settings, WORKERS, &server, e) < 0)
        return -1;
    log_info("%s " NACRE_VERSION " listens on %s", settings.csi_name, arguments->path);
    int signal_number = 0;
    sigwait(signals, &signal_number);
    log_info("%s: ending", strsignal(signal_number));
    cancel_request();
    server_stop(server, GRACE_MS);
    return 0;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.endpoint = getenv("CSI_ENDPOINT")};
    int verbosity = 0;
    for (int option; (option = getopt_long(argc, argv, "v", options, NULL)) != -1;) {
        int code = take_option(option, &arguments, &verbosity);
        if (code >= 0)
            return code;
    }
    log_set_level(verbosity > 1 ? NACRE_LOG_DEBUG : verbosity ? NACRE_LOG_INFO : NACRE_LOG_WARNING);
    struct nacre_err e = {0};
    if (optind < argc)
        err_set(&e, NACRE_INVALID, "\"%.100s\" is not an option", argv[optind]);
    else
        check_arguments(&arguments, &e);
    if (e.code) {
        log_error("%s; try: nacre-csi --help", e.message);
        return 2;
    }
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (serve(&arguments, &signals, &e) < 0) {
        log_error("%s", e.message);
        return 1;
    }
    return 0;
}
