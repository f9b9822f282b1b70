/* libxml2: builds a tree of a document and changes it. The pool comes in through xmlMemSetup. */
#define HEADER 8
#include <libxml/parser.h>
#include <libxml/tree.h>

#include "pool.h"

static char *duplicate(const char *text) {
    size_t length = strlen(text) + 1;
    char *copy = pool_malloc(length);
    return copy ? memcpy(copy, text, length) : NULL;
}

int main(int count, char **arguments) {
    if (count != 2)
        return 2;
    choose();
    if (is_changed && xmlMemSetup(pool_free, pool_malloc, pool_realloc, duplicate))
        return 1;
    unsigned long nodes = 0;
    for (int turn = 0; turn < 6; turn++) {
        xmlDocPtr document = xmlReadFile(arguments[1], NULL, XML_PARSE_NOBLANKS);
        if (!document)
            return 1;
        for (xmlNodePtr node = xmlDocGetRootElement(document)->children; node; node = node->next) {
            xmlChar *value = xmlGetProp(node, (const xmlChar *)"name");
            if (value)
                xmlNewTextChild(node, NULL, (const xmlChar *)"copy", value);
            xmlFree(value);
            nodes++;
        }
        xmlFreeDoc(document);
    }
    xmlCleanupParser();
    printf("%lu\n", nodes);
    return 0;
}
