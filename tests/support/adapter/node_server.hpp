// SPDX-License-Identifier: MIT
/// \file tests/support/adapter/node_server.hpp
/// NodeServer: a WebSocket server of other people's making, tests/node/ws/server.js, for one test.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "support/catch.hpp"

#if !defined(BELAY_NODE_DIRECTORY)
#    define BELAY_NODE_DIRECTORY "tests/node/ws"
#endif

namespace belay_test {

/// Listens on free ports; killed at the end, also when the test case fails, or its process dies.
class NodeServer {
public:
    /// Whether it can run here; says so if not.
    static bool is_here() {
        const std::string script = std::string{BELAY_NODE_DIRECTORY} + "/node_modules/ws/index.js";
        const bool here = ::access(script.c_str(), R_OK) == 0 &&
                          std::system("node --version >/dev/null 2>&1") == 0;
        if (!here)
            std::puts("SKIP: no node, or tests/node/ws has no node_modules (tests/run makes it)");
        return here;
    }

    explicit NodeServer(std::vector<std::string> arguments = {}) {
        int in[2];
        int out[2];
        REQUIRE(::pipe2(in, O_CLOEXEC) == 0);
        REQUIRE(::pipe2(out, O_CLOEXEC) == 0);
        arguments.insert(arguments.begin(), {"node", BELAY_NODE_DIRECTORY "/server.js"});
        std::vector<char*> argv;
        for (std::string& word : arguments) argv.push_back(word.data());
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
        const std::string ready = line_with("ready ");
        REQUIRE(std::sscanf(ready.c_str(), "ready %hu %hu", &port, &proxy_port) == 2);
    }
    NodeServer(const NodeServer&) = delete;
    NodeServer& operator=(const NodeServer&) = delete;
    ~NodeServer() {
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
    void hang_up() const { REQUIRE(::write(in_, "hang up\n", 8) == 8); }
    /// Sends a text message to all.
    void send_text() const { REQUIRE(::write(in_, "text\n", 5) == 5); }
    void kill() {
        if (process_ <= 0) return;
        ::kill(process_, SIGKILL);
        ::waitpid(process_, nullptr, 0);
        process_ = -1;
    }
    /// It listens, and does not answer.
    void freeze() const { ::kill(process_, SIGSTOP); }

    unsigned short port = 0;
    unsigned short proxy_port = 0;

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
