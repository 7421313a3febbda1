// SPDX-License-Identifier: MIT
/// \file tests/support/journal/kill_at_work.hpp
/// kill_at_work: a process that is killed with SIGKILL while it works, and its reports before that.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <span>
#include <type_traits>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

namespace belay_test {

/// The pipe through which a child reports to its parent. One report arrives in one piece, also
/// between threads.
template <class Report>
class ReportPipe {
    static_assert(std::is_trivially_copyable_v<Report>);

public:
    explicit ReportPipe(int pipe) : pipe_{pipe} {}

    /// Pre: at most 512 bytes, which a pipe accepts as a whole.
    void operator()(std::span<const Report> reports) const {
        const auto bytes = static_cast<ssize_t>(reports.size_bytes());
        if (bytes > 512) ::_exit(98);
        if (::write(pipe_, reports.data(), reports.size_bytes()) != bytes) ::_exit(99);
    }
    void operator()(const Report& report) const { (*this)(std::span{&report, 1}); }

private:
    int pipe_;
};

/// Runs `work(ReportPipe<Report>)` in a forked child, and kills it wherever it is when it has sent
/// `reports` reports. `receive(report)` gets all of its reports, in order, also those from before
/// its death.
///
/// A kill cannot revoke a report, so the parent has a record of what the child was promised. `work`
/// returns only with an exit code if something is wrong. Each other end than this kill is a
/// failure: by itself, by another signal, or by hanging.
template <class Report, class Work, class Receive>
void kill_at_work(std::uint64_t reports, Work work, Receive receive) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ::close(ends[0]);
        run_as_child([&] { return work(ReportPipe<Report>{ends[1]}); });
    }
    ::close(ends[1]);
    Report report{};
    const auto next = [&] { return ::read(ends[0], &report, sizeof report) == sizeof report; };
    for (std::uint64_t i = 0; i < reports && next(); ++i) receive(report);
    ::kill(child, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    INFO(end_of_child(status));
    const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    REQUIRE(killed);
    while (next()) receive(report);
    ::close(ends[0]);
}

}  // namespace belay_test
