// SPDX-License-Identifier: MIT
// A program with each kind of static variable of C and C++, which prints what it finds there.
#include "statics.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>

int defined_in_the_other_file();

namespace {

int in_file = 0;
int with_value = 40;
thread_local int of_thread = 0;

/// Writes to the disk of its host when it is made and when it ends.
struct Noted {
    explicit Noted(const char* n) : name{n} { note("makes "); }
    ~Noted() { note("ends "); }
    void note(const char* what) const {
        const int fd = open("notes", O_CREAT | O_WRONLY | O_APPEND, 0644);
        const std::string line = std::string{what} + name + "\n";
        if (write(fd, line.data(), line.size()) < 0) _exit(9);
        close(fd);
    }
    const char* name;
};
const Noted global{"global"};

int in_function() {
    static int count = 0;
    return ++count;
}
Noted& made_at_first_call() {
    static Noted noted{"local"};
    return noted;
}
std::string& with_constructor() {
    static std::string text = "x";
    return text += "x";
}

}  // namespace

// The test has a variable of the same name.
int of_the_test = 0;

int main(int count, char** arguments) {
    static_cast<void>(made_at_first_call());
    const auto raise = std::make_unique<statics::Raised>();
    const std::array<int, 10> found{++in_file,
                                    ++with_value,
                                    ++of_thread,
                                    in_function(),
                                    static_cast<int>(with_constructor().size()),
                                    ++statics::inline_variable,
                                    statics::inline_function(),
                                    statics::Template<int>::next(),
                                    defined_in_the_other_file(),
                                    ++of_the_test};
    std::string text;
    for (const int n : found) text += std::to_string(n) + ' ';
    const int fd = open("found", O_CREAT | O_WRONLY | O_APPEND, 0644);
    text += arguments[count - 1];
    text += '\n';
    if (write(fd, text.data(), text.size()) < 0) return 8;
    close(fd);
    if (std::strcmp(arguments[count - 1], "throws") == 0) throw statics::Raised{};
    if (std::strcmp(arguments[count - 1], "exits") == 0) std::exit(3);
    if (std::strcmp(arguments[count - 1], "stays") == 0) sleep(1'000);
    return 0;
}
