// SPDX-License-Identifier: MIT
/// \file tests/support/sync/sync_oracle.hpp
/// SyncOracle: the final state of elements, computed only by the rules of the page.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "support/sync/sync_rig.hpp"

namespace belay_test {

/// Under LastWriteWins an element is one register for the last writer, which Adds and Removes
/// write. Updates write it only while it is live. The oracle shares no code with the processor.
struct SyncOracle {
    struct Register {
        belay::Stamp stamp{};
        std::optional<std::string> value{};
    };
    std::map<std::string, Register> elements{};

    void take(const Op& op) {
        const std::string name{op.element()};
        const auto at = elements.find(name);
        const bool there = at != elements.end();
        if (op.kind() == belay::OperationKind::interaction) return;
        if (op.kind() == belay::OperationKind::update && (!there || !at->second.value)) return;
        if (there && !(at->second.stamp < op.stamp)) return;
        Register& element = elements[name];
        element.stamp = op.stamp;
        if (op.kind() == belay::OperationKind::remove) {
            element.value.reset();
        } else {
            element.value = op.value();
        }
    }
    /// In the format of `state_text`.
    [[nodiscard]] std::string text(const std::string& name) const {
        const auto at = elements.find(name);
        if (at == elements.end()) return "absent";
        const auto time = std::to_string(at->second.stamp.wall.time_since_epoch().count());
        return at->second.value ? "live " + time + " " + *at->second.value : "removed " + time;
    }
};

}  // namespace belay_test
