// SPDX-License-Identifier: MIT
/// \file tests/support/aborts.hpp
/// aborts_with: the text that a violated precondition prints before it ends the process, read
/// from a forked child.
#pragma once

#include <csignal>
#include <cstdlib>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

namespace belay_test {

/// Runs `f` in a child; returns its output to stderr if it aborted, and "did not abort" if not.
template <class F>
std::string aborts_with(F&& f) {
    int ends[2];
    if (pipe(ends) != 0) return "no pipe";
    const pid_t child = fork();
    if (child < 0) return "no fork";
    if (child == 0) {
        // The framework must not report the signal of the child.
        std::signal(SIGABRT, SIG_DFL);
        dup2(ends[1], 2);
        f();
        _exit(0);
    }
    close(ends[1]);
    std::string text;
    char buffer[256];
    for (ssize_t n = 0; (n = read(ends[0], buffer, sizeof buffer)) > 0;) {
        text.append(buffer, static_cast<std::size_t>(n));
    }
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? text : "did not abort";
}

/// Runs `f` in a child; returns its output to stderr.   Pre: `f` does not abort.
template <class F>
std::string prints_to_stderr(F&& f) {
    return aborts_with([&] {
        f();
        std::abort();
    });
}

}  // namespace belay_test
