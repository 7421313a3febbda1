// SPDX-License-Identifier: MIT
/// \file tests/support/sqlite/killed_at_a_call.hpp
/// killed_at_a_call: a program that is killed at a system call that the test chooses.
#pragma once

#include <csignal>
#include <cstdlib>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

namespace belay_test {

/// Runs a program, without its output, until it enters or leaves its n-th system call, and kills it
/// there by SIGKILL. The count begins at 1; entering and leaving are two.
///
/// Returns whether it was killed: false if it ended before. Aborts if the system does not allow a
/// process to trace its own child.
inline bool killed_at_a_call(std::vector<std::string> words, int n) {
    const pid_t child = ::fork();
    if (child == 0) {
        const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
        ::dup2(nowhere, STDOUT_FILENO);
        ::dup2(nowhere, STDERR_FILENO);
        std::vector<char*> arguments;
        for (std::string& word : words) arguments.push_back(word.data());
        arguments.push_back(nullptr);
        if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0) {
            ::execv(arguments.front(), arguments.data());
        }
        ::_exit(127);
    }
    int status = 0;
    // The first stop is that of execve.
    if (::waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) std::abort();
    ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    for (int left = n; left > 0;) {
        ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
        if (::waitpid(child, &status, 0) != child) std::abort();
        if (!WIFSTOPPED(status)) return false;
        if (WSTOPSIG(status) == (SIGTRAP | 0x80)) --left;
    }
    ::kill(child, SIGKILL);
    return ::waitpid(child, &status, 0) == child && WIFSIGNALED(status);
}

}  // namespace belay_test
