// Attacks with the operators of C++: blocks that are deleted as another type, or by another operator.
#include <string>

#include "attack.h"

struct large { char bytes[5000]; };

static void delete_type_size_mismatch(size_t) {
    delete (char *)(void *)new large;
    not_caught();
}

static void invalid_array_delete_char(size_t) {
    char *block = new char;
    delete[] block;
    not_caught();
}

static void invalid_array_delete_string(size_t) {
    std::string *block = new std::string("text");
    delete[] block;
    not_caught();
}

static void invalid_delete_array_char(size_t) {
    char *block = new char[16];
    delete block;
    not_caught();
}

static void invalid_delete_array_string(size_t) {
    std::string *block = new std::string[16];
    delete block;
    not_caught();
}

static const struct attack attacks[] = {
    {"delete_type_size_mismatch", delete_type_size_mismatch, 0},
    {"invalid_array_delete_char", invalid_array_delete_char, 0},
    {"invalid_array_delete_string", invalid_array_delete_string, 0},
    {"invalid_delete_array_char", invalid_delete_array_char, 0},
    {"invalid_delete_array_string", invalid_delete_array_string, 0},
};

int main(int words, char **word) { return RUN(attacks); }
