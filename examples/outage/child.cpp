// SPDX-License-Identifier: MIT
#include "child.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

namespace outage {

namespace {

/// Where a child finds its ends of the pipes.
constexpr int report_fd = 3, command_fd = 4;

std::string own_path() {
    char path[4096];
    const ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
    return n > 0 ? std::string(path, static_cast<std::size_t>(n)) : "/proc/self/exe";
}

void close_end(int& fd) noexcept {
    if (fd != -1) ::close(fd);
    fd = -1;
}

}  // namespace

Child::Pipe::Pipe() {
    int ends[2];
    // Not inherited by the other child, or the end of this one would not be seen.
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        throw std::system_error{errno, std::generic_category(), "cannot start a process"};
    }
    // Out of the way of the numbers that the child uses.
    read_end = ::fcntl(ends[0], F_DUPFD_CLOEXEC, 10);
    write_end = ::fcntl(ends[1], F_DUPFD_CLOEXEC, 10);
    ::close(ends[0]);
    ::close(ends[1]);
}
Child::Pipe::~Pipe() {
    close_end(read_end);
    close_end(write_end);
}

Child::Child(belay::posix::Poller& loop, ChildHooks hooks)
    : loop_{loop}, hooks_{std::move(hooks)} {}

void Child::start(std::vector<std::string> words) {
    words.insert(words.begin(), own_path());
    words.insert(words.end(), {"--report-fd", std::to_string(report_fd), "--command-fd",
                               std::to_string(command_fd)});
    words_.reset();
    reports_.reset();
    pipes_.emplace();
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid == -1) {
        throw std::system_error{errno, std::generic_category(), "cannot start a process"};
    }
    if (pid == 0) become(*pipes_, words, parent);
    pid_ = pid;
    killed_ = false;
    close_end(pipes_->reports.write_end);
    close_end(pipes_->words.write_end);
    close_end(pipes_->commands.read_end);
    words_.emplace(loop_, pipes_->words.read_end, hooks_.on_words, [] {});
    reports_.emplace(loop_, pipes_->reports.read_end, hooks_.on_report, [this] { reap(); });
}

void Child::become(const Pipes& pipes, std::vector<std::string>& words, pid_t parent) noexcept {
    // However the demo ends, no process of it stays behind.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
    // Ctrl-C is for the demo, which ends its children in good order.
    std::signal(SIGINT, SIG_IGN);
    const int null = ::open("/dev/null", O_RDONLY);
    ::dup2(null, STDIN_FILENO);
    ::dup2(pipes.words.write_end, STDOUT_FILENO);
    ::dup2(pipes.words.write_end, STDERR_FILENO);
    ::dup2(pipes.reports.write_end, report_fd);
    ::dup2(pipes.commands.read_end, command_fd);
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    ::execv(arguments.front(), arguments.data());
    ::_exit(127);
}

void Child::signal(int number) noexcept {
    if (running()) ::kill(pid_, number);
}

void Child::kill() {
    if (!running()) return;
    killed_ = true;
    ::kill(pid_, SIGKILL);
    drain();
}

void Child::command(const std::string& line) {
    if (running()) Reporter{pipes_->commands.write_end}.line(line);
}

/// Reads all that is left; the process is dying, so that the ends come.
void Child::drain() {
    while (words_ && !words_->ended()) words_->read();
    while (reports_ && !reports_->ended()) reports_->read();
}

void Child::reap() {
    while (words_ && !words_->ended()) words_->read();
    int status = 0;
    while (::waitpid(pid_, &status, 0) == -1 && errno == EINTR) {
    }
    pid_ = -1;
    if (!killed_) hooks_.on_end(status);
}

}  // namespace outage
