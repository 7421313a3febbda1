// SPDX-License-Identifier: MIT
/// \file belay/sync.hpp
/// Includes the main headers of the component sync: work that was done offline is merged once, in
/// order, and every conflict is accounted for.
#pragma once

#include <belay/sync/bridge.hpp>
#include <belay/sync/bridge_options.hpp>
#include <belay/sync/changes.hpp>
#include <belay/sync/conflict.hpp>
#include <belay/sync/hybrid_clock.hpp>
#include <belay/sync/memory_store.hpp>
#include <belay/sync/operation.hpp>
#include <belay/sync/operation_like.hpp>
#include <belay/sync/scene.hpp>
#include <belay/sync/stamp.hpp>
#include <belay/sync/store_like.hpp>
#include <belay/sync/strategy_like.hpp>
#include <belay/sync/sync_errc.hpp>
#include <belay/sync/sync_observer.hpp>
#include <belay/sync/sync_processor.hpp>
#include <belay/sync/sync_result.hpp>
