// SPDX-License-Identifier: MIT
/// \file outage/child.hpp
/// Child: a part of the demo in a process of its own, which is controlled over pipes.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "report.hpp"

namespace outage {

/// The events of a Child, which its owner receives on the loop's thread.
struct ChildHooks {
    std::function<void(std::string_view)> on_report;
    /// A line that it wrote for people.
    std::function<void(std::string_view)> on_words;
    /// It has ended, and was not asked to by kill(); `status` as of waitpid.
    std::function<void(int status)> on_end;
};

/// A process that runs this program with other options. It dies with us, however we die.
class Child {
public:
    Child(belay::posix::Poller& loop, ChildHooks hooks);
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child() { kill(); }

    /// Starts it with these words behind the program's name.   Pre: not running().
    /// Throws: std::system_error if there are no descriptors or processes left.
    void start(std::vector<std::string> words);
    /// Sends a signal, unless it has ended.
    void signal(int number) noexcept;
    /// Sends SIGKILL. Its reports until then are passed on before this returns.
    void kill();
    /// Sends it a command.
    void command(const std::string& line);

    [[nodiscard]] bool running() const noexcept { return pid_ > 0; }

private:
    class Pipe {
    public:
        Pipe();
        Pipe(const Pipe&) = delete;
        Pipe& operator=(const Pipe&) = delete;
        ~Pipe();
        int read_end = -1;
        int write_end = -1;
    };
    struct Pipes {
        Pipe reports, words, commands;
    };
    using Reader = LineReader<std::function<void(std::string_view)>, std::function<void()>>;

    [[noreturn]] static void become(const Pipes& pipes, std::vector<std::string>& words,
                                    pid_t parent) noexcept;
    void drain();
    void reap();

    belay::posix::Poller& loop_;
    ChildHooks hooks_;
    pid_t pid_ = -1;
    bool killed_ = false;
    std::optional<Pipes> pipes_;
    std::optional<Reader> reports_;
    std::optional<Reader> words_;
};

}  // namespace outage
