// SPDX-License-Identifier: MIT
/// \file belay/call.hpp
/// Includes the main headers of the component call: retry, and Pipeline with its layers.
///
/// Some headers of the component are separate:
/// - belay/call_coroutines.hpp: coroutines
/// - belay/call/policies.hpp: ready-made policies
/// - belay/call/std_stop.hpp: a bridge to std::stop_token
/// - belay/call/call_text.hpp: a log of retries
///
/// To block without a sleeper of your own, also include belay/drive/thread_sleeper.hpp.
#pragma once

#include <belay/call/answer.hpp>
#include <belay/call/attempt.hpp>
#include <belay/call/layers.hpp>
#include <belay/call/limiters.hpp>
#include <belay/call/outcome.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/retry.hpp>
#include <belay/call/retry_observer.hpp>
#include <belay/call/retry_outcome.hpp>
