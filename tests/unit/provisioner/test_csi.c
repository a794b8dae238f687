/* SPDX-License-Identifier: Apache-2.0 */
/* nacre-csi driven over its socket by gRPC's own client: the Identity service, what is not there, bad
 * requests, many calls at once, sockets that are stale, taken or something else, and its end. argv: the
 * program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "csi.pb-c.h"

static const char *program;
static char directory[64];
static char socket_path[100];
static char endpoint[120];
static pid_t driver;

/* Starts the driver with stderr into a file; does not wait. */
static pid_t start_program(const char *const *arguments)
{
    pid_t pid = fork();
    if (pid == 0) {
        char path[100];
        const char *argv[16] = {program};
        int argc = 1;
        while (*arguments && argc < 15)
            argv[argc++] = *arguments++;
        snprintf(path, sizeof path, "%s/err", directory);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(fd, 1);
        dup2(fd, 2);
        unsetenv("CSI_ENDPOINT");
        execv(program, (char **)argv);
        _exit(99);
    }
    return pid;
}

static int wait_program(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void assert_said(const char *text)
{
    char path[100], said[8192] = "";
    snprintf(path, sizeof path, "%s/err", directory);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    said[fread(said, 1, sizeof said - 1, file)] = 0;
    fclose(file);
    if (!strstr(said, text))
        fail_msg("expected \"%s\" in: %s", text, said);
}

static bool listens(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, socket_path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    bool connected = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return connected;
}

static void start_driver(void)
{
    const char *const arguments[] = {"--endpoint", endpoint, "--driver", "hostpath",
                                     "--node-id",  "node-1", "-v",       NULL};
    driver = start_program(arguments);
    for (int i = 0; i < 1000 && !listens(); i++)
        usleep(20000);
    assert_true(listens());
}

static int setup(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/nacre-csi-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(socket_path, sizeof socket_path, "%s/csi.sock", directory);
    snprintf(endpoint, sizeof endpoint, "unix://%s", socket_path);
    start_driver();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (driver > 0) {
        kill(driver, SIGKILL);
        waitpid(driver, NULL, 0);
    }
    driver = 0;
    char path[100];
    snprintf(path, sizeof path, "%s/err", directory);
    unlink(path);
    unlink(socket_path);
    return rmdir(directory);
}

/* One unary call; the response's bytes go to *response when it is not NULL (malloc). */
static grpc_status_code call_method(const char *method, const void *request, size_t size, uint8_t **response,
                                    size_t *response_size, char message[512])
{
    char target[128];
    snprintf(target, sizeof target, "unix:%s", socket_path);
    grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
    grpc_channel *channel = grpc_channel_create(target, credentials, NULL);
    grpc_channel_credentials_release(credentials);
    grpc_completion_queue *queue = grpc_completion_queue_create_for_pluck(NULL);
    gpr_timespec deadline =
        gpr_time_add(gpr_now(GPR_CLOCK_REALTIME), gpr_time_from_seconds(30, GPR_TIMESPAN));
    grpc_slice method_slice = grpc_slice_from_copied_string(method);
    grpc_call *call = grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, queue, method_slice,
                                               NULL, deadline, NULL);
    grpc_slice data = grpc_slice_from_copied_buffer(request ? request : "", size);
    grpc_byte_buffer *sent = grpc_raw_byte_buffer_create(&data, 1), *received = NULL;
    grpc_metadata_array initial, trailing;
    grpc_metadata_array_init(&initial);
    grpc_metadata_array_init(&trailing);
    grpc_status_code status = GRPC_STATUS_UNKNOWN;
    grpc_slice details = grpc_empty_slice();
    grpc_op operations[6] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = sent},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
        {.op = GRPC_OP_RECV_INITIAL_METADATA, .data.recv_initial_metadata.recv_initial_metadata = &initial},
        {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &received},
        {.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
         .data.recv_status_on_client = {.trailing_metadata = &trailing,
                                        .status = &status,
                                        .status_details = &details}},
    };
    if (grpc_call_start_batch(call, operations, 6, queue, NULL) == GRPC_CALL_OK)
        grpc_completion_queue_pluck(queue, queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    size_t details_size = GRPC_SLICE_LENGTH(details);
    snprintf(message, 512, "%.*s", details_size < 500 ? (int)details_size : 500,
             (const char *)GRPC_SLICE_START_PTR(details));
    if (received && response) {
        grpc_byte_buffer_reader reader;
        grpc_byte_buffer_reader_init(&reader, received);
        grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
        *response_size = GRPC_SLICE_LENGTH(all);
        *response = malloc(*response_size + 1);
        memcpy(*response, GRPC_SLICE_START_PTR(all), *response_size);
        grpc_slice_unref(all);
        grpc_byte_buffer_reader_destroy(&reader);
    }
    if (received)
        grpc_byte_buffer_destroy(received);
    grpc_byte_buffer_destroy(sent);
    grpc_slice_unref(data);
    grpc_slice_unref(details);
    grpc_slice_unref(method_slice);
    grpc_metadata_array_destroy(&initial);
    grpc_metadata_array_destroy(&trailing);
    grpc_call_unref(call);
    grpc_channel_destroy(channel);
    grpc_completion_queue_shutdown(queue);
    grpc_completion_queue_destroy(queue);
    return status;
}

static void assert_status(const char *method, const void *request, size_t size, grpc_status_code expected)
{
    char message[512];
    grpc_status_code status = call_method(method, request, size, NULL, NULL, message);
    if (status != expected)
        fail_msg("%s: status %d: %s", method, status, message);
    assert_true(expected == GRPC_STATUS_OK || *message);
}

static void test_plugin_info(void **state)
{
    (void)state;
    uint8_t *data = NULL;
    size_t size = 0;
    char message[512];
    assert_int_equal(call_method("/csi.v1.Identity/GetPluginInfo", NULL, 0, &data, &size, message),
                     GRPC_STATUS_OK);
    Csi__V1__GetPluginInfoResponse *info = csi__v1__get_plugin_info_response__unpack(NULL, size, data);
    assert_non_null(info);
    assert_string_equal(info->name, "hostpath.nacre");
    assert_string_equal(info->vendor_version, NACRE_VERSION);
    assert_int_equal(info->n_manifest, 1);
    assert_string_equal(info->manifest[0]->key, "volume-driver");
    assert_string_equal(info->manifest[0]->value, "hostpath");
    csi__v1__get_plugin_info_response__free_unpacked(info, NULL);
    free(data);
}

/* Nothing is claimed that this version does not serve. */
static void test_capabilities(void **state)
{
    (void)state;
    uint8_t *data = NULL;
    size_t size = 0;
    char message[512];
    assert_int_equal(call_method("/csi.v1.Identity/GetPluginCapabilities", NULL, 0, &data, &size, message),
                     GRPC_STATUS_OK);
    Csi__V1__GetPluginCapabilitiesResponse *response =
        csi__v1__get_plugin_capabilities_response__unpack(NULL, size, data);
    assert_non_null(response);
    assert_int_equal(response->n_capabilities, 0);
    csi__v1__get_plugin_capabilities_response__free_unpacked(response, NULL);
    free(data);
}

static void test_probe(void **state)
{
    (void)state;
    uint8_t *data = NULL;
    size_t size = 0;
    char message[512];
    assert_int_equal(call_method("/csi.v1.Identity/Probe", NULL, 0, &data, &size, message), GRPC_STATUS_OK);
    assert_int_equal(size, 4); /* field 1, a message of two bytes: field 1 = true */
    assert_memory_equal(data, "\x0a\x02\x08\x01", 4);
    free(data);
}

static void test_unknown_methods(void **state)
{
    (void)state;
    static const char *const methods[] = {
        "/csi.v1.Identity/Nothing", "/csi.v1.Controller/CreateVolume",
        "/csi.v1.Node/NodeGetInfo", "/csi.v1.GroupController/GroupControllerGetCapabilities",
        "/csi.v0.Identity/Probe",   "/",
        "/csi.v1.Identity/",        "/csi.v1.SnapshotMetadata/GetMetadataDelta",
    };
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        assert_status(methods[i], NULL, 0, GRPC_STATUS_UNIMPLEMENTED);
    char longest[5000] = "/csi.v1.Identity/";
    memset(longest + strlen(longest), 'x', sizeof longest - strlen(longest) - 1);
    longest[sizeof longest - 1] = 0;
    assert_status(longest, NULL, 0, GRPC_STATUS_UNIMPLEMENTED);
    assert_status("/csi.v1.Identity/Probe", NULL, 0, GRPC_STATUS_OK);
}

static void test_bad_requests(void **state)
{
    (void)state;
    static const char *const methods[] = {"/csi.v1.Identity/Probe", "/csi.v1.Identity/GetPluginInfo",
                                          "/csi.v1.Identity/GetPluginCapabilities"};
    for (size_t i = 0; i < 3; i++) {
        assert_status(methods[i], "\xff\xff\xff", 3, GRPC_STATUS_INVALID_ARGUMENT);
        assert_status(methods[i], "\x0a\x7fshort", 7, GRPC_STATUS_INVALID_ARGUMENT);
        assert_status(methods[i], "\x0a\x01x", 3, GRPC_STATUS_OK); /* a field of a later version */
    }
    void *big = calloc(1, 5 << 20);
    assert_status(methods[0], big, 5 << 20, GRPC_STATUS_RESOURCE_EXHAUSTED); /* gRPC's own limit */
    free(big);
}

static void *many_calls(void *ctx)
{
    int *failed = ctx;
    for (int i = 0; i < 25; i++) {
        char message[512];
        bool known = i % 3;
        grpc_status_code status = call_method(known ? "/csi.v1.Identity/Probe" : "/csi.v1.Node/NodeGetInfo",
                                              NULL, 0, NULL, NULL, message);
        *failed += status != (known ? GRPC_STATUS_OK : GRPC_STATUS_UNIMPLEMENTED);
    }
    return NULL;
}

static void test_many_at_once(void **state)
{
    (void)state;
    pthread_t threads[8];
    int failed[8] = {0};
    for (int i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, many_calls, &failed[i]);
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(failed[i], 0);
    }
}

static void test_socket(void **state)
{
    (void)state;
    struct stat st;
    assert_int_equal(lstat(socket_path, &st), 0);
    assert_int_equal(st.st_mode, S_IFSOCK | 0600);

    const char *const second[] = {"--endpoint", endpoint, "--driver", "hostpath",
                                  "--node-id",  "node-2", NULL};
    assert_int_equal(wait_program(start_program(second)), 1);
    assert_said("another driver listens on");
    assert_status("/csi.v1.Identity/Probe", NULL, 0, GRPC_STATUS_OK); /* the first is not disturbed */

    kill(driver, SIGKILL);
    assert_int_equal(wait_program(driver), -1);
    assert_int_equal(lstat(socket_path, &st), 0); /* stale */
    start_driver();
    assert_status("/csi.v1.Identity/Probe", NULL, 0, GRPC_STATUS_OK);
}

static void test_path_is_something_else(void **state)
{
    (void)state;
    kill(driver, SIGTERM);
    assert_int_equal(wait_program(driver), 0);
    driver = 0;
    int fd = open(socket_path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_int_equal(write(fd, "mine", 4), 4);
    close(fd);
    const char *const arguments[] = {"--endpoint", endpoint, "--driver", "hostpath", "--node-id", "n", NULL};
    assert_int_equal(wait_program(start_program(arguments)), 1);
    assert_said("is no socket");
    struct stat st;
    assert_int_equal(stat(socket_path, &st), 0);
    assert_int_equal(st.st_size, 4);
}

static void test_ends_cleanly(void **state)
{
    (void)state;
    static const int signals[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < 2; i++) {
        assert_status("/csi.v1.Identity/Probe", NULL, 0, GRPC_STATUS_OK);
        /* A client that stays connected and says nothing does not hold it up. */
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        strcpy(address.sun_path, socket_path);
        int idle = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(connect(idle, (struct sockaddr *)&address, sizeof address), 0);
        time_t began = time(NULL);
        kill(driver, signals[i]);
        assert_int_equal(wait_program(driver), 0);
        assert_true(time(NULL) - began < 6);
        assert_int_equal(access(socket_path, F_OK), -1);
        close(idle);
        start_driver();
    }
}

static void test_arguments(void **state)
{
    (void)state;
    static const struct {
        const char *arguments[8];
        int code;
        const char *said;
    } cases[] = {
        {{"--help"}, 0, "--cluster-config"},
        {{"--version"}, 0, "nacre-csi " NACRE_VERSION},
        {{NULL}, 2, "--driver must be"},
        {{"--driver", "nfs"}, 2, "not nfs"},
        {{"--driver", "rbd", "--node-id", "n"}, 2, "--endpoint"},
        {{"--driver", "rbd", "--endpoint", "unix:///tmp/x"}, 2, "--node-id"},
        {{"--driver", "rbd", "--node-id", "n", "--endpoint", "tcp://1.2.3.4:5"}, 2, "is not unix:///PATH"},
        {{"--driver", "rbd", "--node-id", "n", "--endpoint", "unix://relative"}, 2, "is not unix:///PATH"},
        {{"--driver", "rbd", "--node-id", "n", "--driver-name", "-x"}, 2, "--endpoint"},
        {{"--nonsense"}, 2, "nonsense"},
        {{"word"}, 2, "\"word\" is not an option"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(wait_program(start_program(cases[i].arguments)), cases[i].code);
        assert_said(cases[i].said);
    }
    char lengthy[300] = "unix:///tmp/";
    memset(lengthy + 12, 'x', 200);
    const char *const long_path[] = {"--driver", "hostpath", "--node-id", "n", "--endpoint", lengthy, NULL};
    assert_int_equal(wait_program(start_program(long_path)), 2);
    assert_said("at most 107 bytes");
    char other[120];
    snprintf(other, sizeof other, "unix://%s/other.sock", directory);
    const char *const no_plugin[] = {"--driver", "cephfs", "--node-id", "n", "--endpoint", other, NULL};
    assert_int_equal(wait_program(start_program(no_plugin)), 1);
    assert_said("no volume driver \"cephfs\" is installed");
    const char *const no_config[] = {"--driver", "hostpath",         "--node-id",           "n", "--endpoint",
                                     other,      "--cluster-config", "/nonexistent/config", NULL};
    assert_int_equal(wait_program(start_program(no_config)), 1);
    assert_said("/nonexistent/config");
    const char *const no_directory[] = {
        "--driver", "hostpath", "--node-id", "n", "--endpoint", "unix:///nonexistent/csi.sock", NULL};
    assert_int_equal(wait_program(start_program(no_directory)), 1);
    assert_said("cannot listen on /nonexistent/csi.sock");
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    program = argv[1];
    grpc_init();
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_plugin_info),     TEST(test_capabilities),           TEST(test_probe),
        TEST(test_unknown_methods), TEST(test_bad_requests),           TEST(test_many_at_once),
        TEST(test_socket),          TEST(test_path_is_something_else), TEST(test_ends_cleanly),
        TEST(test_arguments),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    grpc_shutdown_blocking();
    return failed;
}
