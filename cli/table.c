/* SPDX-License-Identifier: Apache-2.0 */
/* Tables for people. Cells are kept until the end, because widths are known only then. */
#include <string.h>

#include "cli/output.h"

#define TABLE_COLUMNS_MAX 16

struct table {
    size_t columns, rows;
    char **cells; /* rows * columns; the first row is the header */
    size_t capacity;
    bool right[TABLE_COLUMNS_MAX];
    bool failed;
};

struct table *table_new(const char *const *headers, size_t columns)
{
    struct table *table = calloc(1, sizeof *table);
    if (!table)
        return NULL;
    table->columns = columns < TABLE_COLUMNS_MAX ? columns : TABLE_COLUMNS_MAX;
    table_row(table, headers);
    return table;
}

void table_free(struct table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->rows * table->columns; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table);
}

void table_align_right(struct table *table, size_t column)
{
    if (table && column < table->columns)
        table->right[column] = true;
}

void table_row(struct table *table, const char *const *cells)
{
    if (!table || table->failed)
        return;
    size_t used = table->rows * table->columns;
    if (used + table->columns > table->capacity) {
        size_t capacity = table->capacity ? 2 * table->capacity : 16 * table->columns;
        char **grown = reallocarray(table->cells, capacity, sizeof *grown);
        if (!grown) {
            table->failed = true;
            return;
        }
        table->cells = grown;
        table->capacity = capacity;
    }
    for (size_t i = 0; i < table->columns; i++) {
        struct buf clean = {0};
        output_clean(&clean, cells[i] && *cells[i] ? cells[i] : "-");
        table->cells[used + i] = (char *)clean.data;
        table->failed |= buf_failed(&clean);
    }
    table->rows++;
}

/* Columns on the screen: bytes that begin a character. Wide characters are counted as one. */
static int width(const char *text)
{
    int columns = 0;
    for (; text && *text; text++)
        columns += ((unsigned char)*text & 0xc0) != 0x80;
    return columns;
}

void table_print(struct table *table)
{
    if (!table)
        return;
    int widths[TABLE_COLUMNS_MAX] = {0};
    for (size_t i = 0; i < table->rows * table->columns; i++) {
        int cell = width(table->cells[i]);
        if (cell > widths[i % table->columns])
            widths[i % table->columns] = cell;
    }
    for (size_t row = 0; row < table->rows; row++) {
        for (size_t column = 0; column < table->columns; column++) {
            const char *cell = table->cells[row * table->columns + column];
            int pad = widths[column] - width(cell);
            bool last = column + 1 == table->columns;
            if (table->right[column])
                printf("%*s%s%s", pad, "", cell ? cell : "", last ? "\n" : "  ");
            else
                printf("%s%*s%s", cell ? cell : "", last ? 0 : pad, "", last ? "\n" : "  ");
        }
    }
    if (table->failed)
        fprintf(stderr, "warning: out of memory: the table is not complete\n");
}
