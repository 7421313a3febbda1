// SPDX-License-Identifier: MIT
/// \file tests/support/temporary_directory.hpp
/// A directory for one test case, and a child process for what a test must not do to itself.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "support/catch.hpp"

namespace belay_test {

/// Made on construction, removed with all that is in it on destruction.
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

/// Whether `claim()` holds in a forked child, which ends after it without running destructors.
template <class Claim>
bool in_child(Claim claim) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(claim() ? 0 : 1);
    int status = -1;
    return child > 0 && ::waitpid(child, &status, 0) == child && status == 0;
}

/// The same, where the rights of files hold: a child of root becomes nobody before.
template <class Claim>
bool in_child_without_privileges(Claim claim) {
    return in_child([&claim] {
        constexpr unsigned nobody = 65534;
        const bool root = ::geteuid() == 0;
        if (root && (::setgid(nobody) != 0 || ::setuid(nobody) != 0)) return false;
        return claim();
    });
}

}  // namespace belay_test
