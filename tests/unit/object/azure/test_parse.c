/* SPDX-License-Identifier: Apache-2.0 */
/* Connection strings, what a shared access signature says, pages of a listing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "azure/connection.h"
#include "azure/page.h"
#include "azure/sas.h"
#include "common/cleanup.h"
#include "common/err.h"

static void connection_strings(void **state)
{
    (void)state;
    struct nacre_err e;
    CLEANUP(azure_connection_free) struct azure_connection a = {0};
    assert_int_equal(
        azure_connection_parse("DefaultEndpointsProtocol=https;AccountName=one;AccountKey=a+b/c==;"
                               "EndpointSuffix=core.chinacloudapi.cn",
                               &a, &e),
        0);
    assert_string_equal(a.account, "one");
    assert_string_equal(a.key, "a+b/c==");
    assert_string_equal(a.endpoint, "https://one.blob.core.chinacloudapi.cn");
    assert_null(a.sas);
    CLEANUP(azure_connection_free) struct azure_connection b = {0};
    assert_int_equal(
        azure_connection_parse(";BlobEndpoint=https://x.example/;QueueEndpoint=https://q.example;"
                               "SharedAccessSignature=sv=2021-12-02&sig=a%3D;",
                               &b, &e),
        0);
    assert_string_equal(b.endpoint, "https://x.example/");
    assert_string_equal(b.sas, "sv=2021-12-02&sig=a%3D");
    assert_null(b.account);
    CLEANUP(azure_connection_free) struct azure_connection none = {0};
    assert_int_equal(azure_connection_parse(NULL, &none, &e), 0);
    assert_null(none.account);
    assert_null(none.endpoint);
}

static void wrong_connection_strings(void **state)
{
    (void)state;
    struct nacre_err e;
    struct azure_connection c;
    assert_int_equal(azure_connection_parse("AccountName=one;topsecretkey", &c, &e), -1);
    assert_int_equal(e.code, NACRE_INVALID);
    assert_null(strstr(e.message, "topsecret"));
    assert_int_equal(azure_connection_parse("AccountKey=topsecret;accountkey=b", &c, &e), -1);
    assert_non_null(strstr(e.message, "twice"));
    assert_null(strstr(e.message, "topsecret"));
    assert_null(c.key);
    char longer[9000];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(azure_connection_parse(longer, &c, &e), -1);
}

static void signatures(void **state)
{
    (void)state;
    static const char sas[] =
        "sv=2021-12-02&sp=rl&se=2026-01-02T03%3A04%3A05Z&st=2026-01-02&ske=2026-01-02T03:04Z&x=%4";
    CLEANUP(buf_free) struct buf text = {0};
    int64_t seconds;
    assert_true(sas_field(sas, "sp", &text));
    assert_string_equal((char *)text.data, "rl");
    assert_false(sas_field(sas, "s", &text));
    assert_false(sas_field(sas, "sig", &text));
    assert_true(sas_time(sas, "se", &seconds));
    assert_int_equal(seconds, 1767323045);
    assert_true(sas_time(sas, "st", &seconds));
    assert_int_equal(seconds, 1767312000);
    assert_true(sas_time(sas, "ske", &seconds));
    assert_int_equal(seconds, 1767323040);
    assert_false(sas_time(sas, "sp", &seconds));
    assert_false(sas_time(sas, "none", &seconds));
}

#define HEAD "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ContainerName=\"c\"><Blobs>"
#define BLOB(name, size, more)                                                                               \
    "<Blob><Name>" name "</Name><Properties><Last-Modified>Sun, 06 Nov 1994 08:49:37 GMT</Last-Modified>"    \
    "<Content-Length>" size "</Content-Length>" more "</Properties></Blob>"

static void pages(void **state)
{
    (void)state;
    static const char xml[] = HEAD BLOB("p/b/x", "18446744073709551615", "") BLOB("p/b-x", "2", "") BLOB(
        "p/dir", "0", "<ResourceType>directory</ResourceType>") BLOB("p/no name", "1", "") BLOB("p/", "1", "")
        BLOB("other", "1", "") "<BlobPrefix><Name>p/q/</Name></BlobPrefix>"
                               "<Blob><Name>p/no-size</Name></Blob>" BLOB(
                                   "p/last", "3",
                                   "<ResourceType>file</ResourceType>") "</Blobs><NextMarker>a&amp;b</"
                                                                        "NextMarker></EnumerationResults>";
    CLEANUP(page_free) struct page page = {0};
    struct nacre_err e;
    assert_int_equal(page_parse(xml, sizeof xml - 1, "p/", &page, &e), 0);
    assert_int_equal(page.count, 3);
    assert_string_equal(page.entries[0].name, "b-x"); /* '-' comes before '/' */
    assert_string_equal(page.entries[1].name, "b/x");
    assert_true(page.entries[1].size == UINT64_MAX);
    assert_string_equal(page.entries[2].name, "last");
    assert_int_equal(page.entries[2].size, 3);
    assert_true(page.entries[0].modified_ns == INT64_C(784111777000000000));
    assert_string_equal(page.next, "a&b");
}

static void no_pages(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "<html><body>Welcome</body></html>",
        HEAD,
        HEAD BLOB("p/x", "-1", "") "</Blobs></EnumerationResults>",
        HEAD BLOB("p/x", "1x", "") "</Blobs></EnumerationResults>",
        HEAD BLOB("p/x", "", "") "</Blobs></EnumerationResults>",
    };
    struct nacre_err e;
    struct page page;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        e = (struct nacre_err){0};
        assert_int_equal(page_parse(texts[i], strlen(texts[i]), "p/", &page, &e), -1);
        assert_int_equal(e.code, NACRE_TRANSIENT);
        assert_int_equal(page.count, 0);
    }
    static const char empty[] = "<EnumerationResults><Blobs/><NextMarker/></EnumerationResults>";
    CLEANUP(page_free) struct page none = {0};
    assert_int_equal(page_parse(empty, sizeof empty - 1, "", &none, &e), 0);
    assert_int_equal(none.count, 0);
    assert_string_equal(none.next, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connection_strings), cmocka_unit_test(wrong_connection_strings),
        cmocka_unit_test(signatures),         cmocka_unit_test(pages),
        cmocka_unit_test(no_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
