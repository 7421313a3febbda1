// SPDX-License-Identifier: MIT
/// \file tests/support/windows/expect.hpp
/// expect, exit_code: the checks of the programs that Wine runs, which have no test framework.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <source_location>
#include <string>

#include <belay/windows/detail/win32.hpp>

namespace belay_test {

inline int failed_expectations = 0;

/// Prints the place of a failure, and continues.
inline bool expect(bool holds, std::source_location at = std::source_location::current()) {
    if (!holds) {
        ++failed_expectations;
        std::printf("%s:%u: in %s: it does not hold\n", at.file_name(),
                    static_cast<unsigned>(at.line()), at.function_name());
        std::fflush(stdout);
    }
    return holds;
}
/// Ends the program after a failure after which further checks have no meaning.
inline void demand(bool holds, std::source_location at = std::source_location::current()) {
    if (!expect(holds, at)) std::_Exit(1);
}
inline int exit_code() { return failed_expectations == 0 ? 0 : 1; }

/// A new directory, which is removed at the end.
class WindowsDirectory {
public:
    explicit WindowsDirectory(const std::string& name)
        : path_{std::filesystem::temp_directory_path() /
                ("belay-" + name + "-" + std::to_string(::GetCurrentProcessId()) + "-" +
                 std::to_string(::GetTickCount64()))} {
        demand(std::filesystem::create_directory(path_));
    }
    WindowsDirectory(const WindowsDirectory&) = delete;
    WindowsDirectory& operator=(const WindowsDirectory&) = delete;
    ~WindowsDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    /// The path of a name in the directory, in UTF-8.
    [[nodiscard]] std::string operator/(const std::string& name) const {
        return path_.generic_string() + "/" + name;
    }
    [[nodiscard]] std::string path() const { return path_.generic_string(); }

private:
    std::filesystem::path path_;
};

}  // namespace belay_test
