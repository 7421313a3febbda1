// SPDX-License-Identifier: MIT
// The other file of the program: it uses the same variables.
#include "statics.hpp"

int defined_in_the_other_file();
int defined_in_the_other_file() {
    return ++statics::inline_variable * 100 + statics::inline_function() * 10 +
           statics::Template<int>::next();
}
