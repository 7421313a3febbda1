// SPDX-License-Identifier: MIT
/// \file tests/support/server_process.hpp
/// ServerProcess: a server of other people's making, for one test.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"

namespace belay_test {

/// A program that is told, and tells, by lines; killed at the end, also when the test case fails,
/// or its process dies.
class ServerProcess {
public:
    explicit ServerProcess(std::vector<std::string> words) {
        int in[2];
        int out[2];
        REQUIRE(::pipe2(in, O_CLOEXEC) == 0);
        REQUIRE(::pipe2(out, O_CLOEXEC) == 0);
        std::vector<char*> argv;
        for (std::string& word : words) argv.push_back(word.data());
        argv.push_back(nullptr);
        process_ = ::fork();
        REQUIRE(process_ >= 0);
        if (process_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            ::dup2(in[0], 0);
            ::dup2(out[1], 1);
            ::execvp(argv[0], argv.data());
            ::_exit(127);
        }
        ::close(in[0]);
        ::close(out[1]);
        in_ = in[1];
        out_ = out[0];
    }
    ServerProcess(const ServerProcess&) = delete;
    ServerProcess& operator=(const ServerProcess&) = delete;
    ~ServerProcess() {
        kill();
        ::close(in_);
        ::close(out_);
    }

    /// The next line that it says which begins so; waits for it.
    std::string line_with(const std::string& begin) {
        for (;;) {
            const std::string line = next_line();
            if (line.starts_with(begin)) return line;
        }
    }
    void tell(std::string line) const {
        line += '\n';
        REQUIRE(::write(in_, line.data(), line.size()) == static_cast<ssize_t>(line.size()));
    }
    void kill() {
        if (process_ <= 0) return;
        ::kill(process_, SIGKILL);
        ::waitpid(process_, nullptr, 0);
        process_ = -1;
    }
    /// It listens, and does not answer.
    void freeze() const { ::kill(process_, SIGSTOP); }
    void thaw() const { ::kill(process_, SIGCONT); }

private:
    std::string next_line() {
        std::string line;
        for (char c = 0;;) {
            REQUIRE(::read(out_, &c, 1) == 1);
            if (c == '\n') return line;
            line += c;
        }
    }

    int in_ = -1;
    int out_ = -1;
    pid_t process_ = -1;
};

}  // namespace belay_test
