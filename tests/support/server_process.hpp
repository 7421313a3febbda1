// SPDX-License-Identifier: MIT
/// \file tests/support/server_process.hpp
/// ServerProcess: a server that is not part of belay, for one test.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "support/child_process.hpp"
#include "support/eventually.hpp"

namespace belay_test {

/// A program that reads commands, and writes reports, by lines.
class ServerProcess : public ChildProcess {
public:
    explicit ServerProcess(std::vector<std::string> words) {
        int in[2];
        int out[2];
        REQUIRE(::pipe2(in, O_CLOEXEC) == 0);
        REQUIRE(::pipe2(out, O_CLOEXEC) == 0);
        const std::vector<char*> argv = argv_of(words);
        if (forks()) {
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
    ~ServerProcess() {
        kill();
        ::close(in_);
        ::close(out_);
    }

    /// Returns the next line with this beginning. It waits for the line, and fails after `wait_max`
    /// of silence.
    std::string line_with(const std::string& begin) {
        for (std::string before;;) {
            const std::string line = next_line("waits for \"" + begin + "\" after" + before);
            if (line.starts_with(begin)) return line;
            before += "\n" + line;
        }
    }
    void send_command(std::string line) const {
        line += '\n';
        REQUIRE(::write(in_, line.data(), line.size()) == static_cast<ssize_t>(line.size()));
    }

private:
    std::string next_line(const std::string& why) {
        std::string line;
        INFO(why);
        for (char c = 0;;) {
            pollfd out{out_, POLLIN, 0};
            REQUIRE(::poll(&out, 1, static_cast<int>(wait_max / std::chrono::milliseconds{1})) ==
                    1);
            REQUIRE(::read(out_, &c, 1) == 1);
            if (c == '\n') return line;
            line += c;
        }
    }

    int in_ = -1;
    int out_ = -1;
};

}  // namespace belay_test
