// SPDX-License-Identifier: MIT
// A server under load: a process of its own, which ends with this one.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace room_bench {

/// It prints "port N"; told anything, it gives memory back and says so. Killed at the end.
///
/// Throws: std::runtime_error, what did not work.
class Process {
public:
    explicit Process(std::vector<std::string> words) {
        int in[2];
        int out[2];
        if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0)
            throw std::runtime_error{"no pipe"};
        std::vector<char*> argv;
        for (std::string& word : words) argv.push_back(word.data());
        argv.push_back(nullptr);
        id_ = ::fork();
        if (id_ == 0) {
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
        try {
            port_ = static_cast<std::uint16_t>(std::atoi(line_with("port ").c_str() + 5));
        } catch (...) {
            end();
            throw;
        }
    }
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;
    ~Process() { end(); }

    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    /// Of all its threads.
    [[nodiscard]] double cpu_seconds() const {
        clockid_t clock{};
        timespec used{};
        if (::clock_getcpuclockid(id_, &clock) != 0 || ::clock_gettime(clock, &used) != 0)
            throw std::runtime_error{"a server has ended"};
        return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
    }
    /// What it needs: garbage is collected before.
    [[nodiscard]] double resident_bytes() {
        if (::write(in_, "\n", 1) != 1) throw std::runtime_error{"a server has ended"};
        line_with("tidied");
        std::ifstream file{"/proc/" + std::to_string(id_) + "/statm"};
        double all = 0;
        double resident = 0;
        file >> all >> resident;
        return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
    }

private:
    static constexpr int patience_ms = 20'000;

    std::string line_with(const std::string& begin) {
        for (std::string line;;) {
            pollfd due{out_, POLLIN, 0};
            char c = 0;
            if (::poll(&due, 1, patience_ms) != 1 || ::read(out_, &c, 1) != 1)
                throw std::runtime_error{"a server did not print " + begin};
            if (c != '\n') {
                line += c;
            } else if (line.starts_with(begin)) {
                return line;
            } else {
                line.clear();
            }
        }
    }
    void end() noexcept {
        if (id_ > 0) {
            ::kill(id_, SIGKILL);
            ::waitpid(id_, nullptr, 0);
        }
        ::close(in_);
        ::close(out_);
    }

    pid_t id_ = -1;
    int in_ = -1;
    int out_ = -1;
    std::uint16_t port_ = 0;
};

}  // namespace room_bench
