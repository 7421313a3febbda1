// SPDX-License-Identifier: MIT
/// \file tests/support/child_process.hpp
/// ChildProcess: a process that a test has started.
#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "support/catch.hpp"

namespace belay_test {

/// One process at a time. It is killed at the end, also when the test case fails, or the test's
/// process dies.
class ChildProcess {
public:
    ChildProcess() = default;
    ChildProcess(const ChildProcess&) = delete;
    ChildProcess& operator=(const ChildProcess&) = delete;

    /// SIGKILL: the process saves nothing more.
    void kill() {
        if (process_ <= 0) return;
        ::kill(process_, SIGKILL);
        ::waitpid(process_, nullptr, 0);
        process_ = -1;
    }
    /// SIGSTOP and SIGCONT: its sockets listen, and it does not answer.
    void freeze() const { ::kill(process_, SIGSTOP); }
    void thaw() const { ::kill(process_, SIGCONT); }

protected:
    ~ChildProcess() { kill(); }

    /// Forks.   Returns: whether this is the child.
    [[nodiscard]] bool forks() {
        process_ = ::fork();
        REQUIRE(process_ >= 0);
        if (process_ != 0) return false;
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        return true;
    }
    /// Whether it has ended by itself.
    [[nodiscard]] bool has_ended() {
        int status = 0;
        if (::waitpid(process_, &status, WNOHANG) == process_) process_ = -1;
        return process_ <= 0;
    }
    /// The arguments of ::execvp; the strings must outlive the call.
    static std::vector<char*> argv_of(std::vector<std::string>& words) {
        std::vector<char*> argv;
        for (std::string& word : words) argv.push_back(word.data());
        argv.push_back(nullptr);
        return argv;
    }

private:
    pid_t process_ = -1;
};

}  // namespace belay_test
