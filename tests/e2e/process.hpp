// SPDX-License-Identifier: MIT
// Programs under test: started, watched and ended; waits are for conditions, with a generous limit.
#pragma once

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/eventually.hpp"

namespace e2e {

/// Waits until `done()`.   Returns: false if it took too long.
template <class F>
[[nodiscard]] bool eventually(F&& done) {
    return belay_test::eventually(std::forward<F>(done), std::chrono::milliseconds{5});
}

/// A program that runs; SIGKILL at the end of the scope.
class Process {
public:
    using Before = std::function<void()>;

    /// `before` runs in the child. The program's file is opened earlier: where `before` gives up
    /// rights, the way to the file may be closed to it (root's home directory).
    explicit Process(std::vector<std::string> words, const Before& before = {}) {
        const int program = ::open(words.front().c_str(), O_PATH | O_CLOEXEC);
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
        pid_ = ::fork();
        if (pid_ == 0) {
            ::dup2(ends[1], STDOUT_FILENO);
            ::dup2(ends[1], STDERR_FILENO);
            if (before) before();
            std::vector<char*> arguments;
            for (std::string& word : words) arguments.push_back(word.data());
            arguments.push_back(nullptr);
            ::fexecve(program, arguments.data(), environ);
            ::_exit(127);
        }
        ::close(program);
        ::close(ends[1]);
        output_ = ends[0];
        ::fcntl(output_, F_SETFL, O_NONBLOCK);
    }
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;
    ~Process() {
        signal(SIGKILL);
        wait();
        ::close(output_);
    }

    void signal(int number) const {
        if (pid_ > 0) ::kill(pid_, number);
    }
    [[nodiscard]] pid_t pid() const { return pid_; }

    /// The output so far, of both of its streams.
    const std::string& text() {
        char buffer[4096];
        for (ssize_t n; (n = ::read(output_, buffer, sizeof buffer)) > 0;) {
            text_.append(buffer, static_cast<std::size_t>(n));
        }
        return text_;
    }
    /// Waits until it has written `words`.
    bool prints(const std::string& words) {
        return eventually([&] { return text().find(words) != std::string::npos; });
    }
    [[nodiscard]] bool ended() {
        if (pid_ > 0 && ::waitpid(pid_, &status_, WNOHANG) == pid_) pid_ = -1;
        return pid_ <= 0;
    }
    /// Waits for its end.   Returns: the exit code; -1 for a signal or none in time.
    int wait() {
        // The output is read meanwhile, so that a full pipe does not block the program.
        if (!eventually([&] { return text(), ended(); })) return -1;
        text();
        return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1;
    }

private:
    pid_t pid_ = -1;
    int output_ = -1;
    int status_ = 0;
    std::string text_;
};

}  // namespace e2e
