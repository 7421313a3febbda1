// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/jobs.hpp
/// run_jobs: how the jobs of an exploration run if its worlds cannot run in threads.
#pragma once

#include <cstdint>  // std::uint32_t
#include <string>   // std::string
#include <vector>   // std::vector

#include <belay/core/detail/function.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim::detail {

/// A job of an exploration, by its number from 0.   Returns: its result, which is not empty.
using Job = belay::detail::Function<std::string(std::uint32_t)>;
/// Runs jobs 0 to `count` - 1, each in a process of its own.   Returns: their results; an empty
/// text for a job that has ended without one.
using RunJobs = std::vector<std::string> (*)(std::uint32_t count, Job& job);

/// Null: jobs are threads. `adapter/libc_sim.hpp` sets it.
inline constinit RunJobs run_jobs = nullptr;

}}}  // namespace belay::sim::detail
