/* SPDX-License-Identifier: Apache-2.0 */
/* Exit codes: the one place where an error becomes a number. Scripts depend on them: see nacre(1). */
#include "cli/cli.h"

int cli_exit_code(enum nacre_code code)
{
    switch (code) {
    case NACRE_OK:
        return 0;
    case NACRE_INVALID:
        return 2;
    case NACRE_PARTIAL:
        return 3;
    case NACRE_ABSENT:
        return 4;
    case NACRE_LOCKED:
        return 5;
    case NACRE_WRONG_PASSWORD:
        return 6;
    case NACRE_CORRUPT:
        return 7;
    default:
        return 1;
    }
}
