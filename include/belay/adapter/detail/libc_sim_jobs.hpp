// SPDX-License-Identifier: MIT
/// \file belay/adapter/detail/libc_sim_jobs.hpp
/// libc_run_jobs: the jobs of an exploration of simulated programs, which are processes.
#pragma once

#include <sys/wait.h>  // waitpid
#include <unistd.h>    // fork, pipe

#include <cerrno>   // errno
#include <cstdint>  // std::uint32_t
#include <cstdio>   // std::fflush
#include <string>   // std::string
#include <vector>   // std::vector

#include <belay/adapter/detail/libc_sim_streams.hpp>
#include <belay/sim/detail/jobs.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Runs a job in this process, and writes its result to a pipe.
[[noreturn]] inline void libc_run_job(std::uint32_t number, sim::detail::Job& job, int to) {
    int code = 1;
    try {
        const std::string result = job(number);
        std::size_t written = 0;
        while (written != result.size()) {
            const ssize_t n = ::write(to, result.data() + written, result.size() - written);
            if (n < 0 && errno != EINTR) break;
            written += n < 0 ? 0 : static_cast<std::size_t>(n);
        }
        code = written == result.size() ? 0 : 1;
    } catch (...) {
        code = 1;  // the parent has the sentence
    }
    std::fflush(nullptr);
    ::_exit(code);
}
/// The process of a job, and the pipe to which it writes.
struct LibcJob {
    pid_t process;
    int pipe;
};
/// Returns all that a process writes to its pipe, if it ends well; otherwise nothing.
[[nodiscard]] inline std::string libc_result_of(const LibcJob& job) {
    if (job.process < 0) return {};
    std::string result;
    char part[4096];
    for (;;) {
        const ssize_t n = ::read(job.pipe, part, sizeof part);
        if (n > 0) result.append(part, static_cast<std::size_t>(n));
        if (n == 0 || (n < 0 && errno != EINTR)) break;
    }
    ::close(job.pipe);
    int status = 0;
    while (::waitpid(job.process, &status, 0) < 0 && errno == EINTR) continue;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? result : std::string{};
}
/// Runs each job in a process of its own, since a process has one world at a time.
[[nodiscard]] inline std::vector<std::string> libc_run_jobs(std::uint32_t count,
                                                            sim::detail::Job& job) {
    std::vector<LibcJob> jobs;
    std::fflush(nullptr);  // or each process would write it again
    for (std::uint32_t i = 0; i < count; ++i) {
        int ends[2] = {-1, -1};
        const pid_t process = ::pipe(ends) == 0 ? ::fork() : -1;
        if (process == 0) libc_run_job(i, job, ends[1]);
        if (ends[1] >= 0) ::close(ends[1]);
        if (process < 0 && ends[0] >= 0) ::close(ends[0]);
        jobs.push_back({process, ends[0]});
    }
    std::vector<std::string> results;
    for (const LibcJob& j : jobs) results.push_back(libc_result_of(j));
    return results;
}
[[gnu::used]] static const bool libc_runs_jobs = (sim::detail::run_jobs = &libc_run_jobs, true);

}}}  // namespace belay::detail
