// SPDX-License-Identifier: MIT
/// \file tests/support/temporary_directory.hpp
/// A directory for one test case, and a child process for actions that would end or change the
/// test's own process.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <string>

#include "support/catch.hpp"

namespace belay_test {

/// Created on construction, and removed with its content on destruction.
class TemporaryDirectory {
public:
    TemporaryDirectory() {
        const char* const base = std::getenv("TMPDIR");
        path_ = std::string{base != nullptr ? base : "/tmp"} + "/belay-XXXXXX";
        REQUIRE(::mkdtemp(path_.data()) != nullptr);
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    ~TemporaryDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::string operator/(const std::string& name) const {
        return path_ + '/' + name;
    }

private:
    std::string path_;
};

/// Runs the rest of a forked child. It exits with `work()`, and with 97 when it throws, so that the
/// exception does not unwind into the test framework of the child. A child that hangs dies of
/// SIGALRM. Only a failure takes so long, also on a busy machine.
template <class Work>
[[noreturn]] void run_as_child(Work work) noexcept {
    constexpr unsigned seconds_max = 300;
    ::alarm(seconds_max);
    try {
        ::_exit(work());
    } catch (const std::exception& e) {
        std::fprintf(stderr, "a child process threw: %s\n", e.what());
    } catch (...) {
        std::fprintf(stderr, "a child process threw, or failed a REQUIRE\n");
    }
    ::_exit(97);
}

/// The end of a child, in words.
inline std::string end_of_child(int status) {
    if (WIFSIGNALED(status)) return "the child died of signal " + std::to_string(WTERMSIG(status));
    return "the child's exit code is " + std::to_string(WEXITSTATUS(status));
}

/// Whether `claim()` holds in a forked child, which then ends without running destructors.
template <class Claim>
bool in_child(Claim claim) {
    const pid_t child = ::fork();
    if (child == 0) run_as_child([&claim] { return claim() ? 0 : 1; });
    int status = -1;
    if (child < 0 || ::waitpid(child, &status, 0) != child) return false;
    if (status != 0) UNSCOPED_INFO(end_of_child(status));
    return status == 0;
}

/// Changes root to the user `nobody`.   Returns: whether permissions of files apply now.
inline bool drop_privileges() {
    constexpr unsigned nobody = 65534;
    return ::geteuid() != 0 || (::setgid(nobody) == 0 && ::setuid(nobody) == 0);
}

/// The same as `in_child`, with permissions of files: a child of root changes to `nobody` first.
///
/// Pre: can_drop_privileges().
template <class Claim>
bool in_child_without_privileges(Claim claim) {
    return in_child([&claim] { return drop_privileges() && claim(); });
}

/// Whether a child can change to the user `nobody`, and may then enter `directory`. If not, warns
/// that the test is skipped. In user namespaces root cannot change, and `nobody` may not enter a
/// TMPDIR of root.
inline bool can_drop_privileges(const std::string& directory) {
    const bool can =
        in_child([&] { return drop_privileges() && ::access(directory.c_str(), X_OK) == 0; });
    if (!can) {
        WARN("skipped: root cannot become nobody here, or nobody may not enter " << directory);
    }
    return can;
}

}  // namespace belay_test
