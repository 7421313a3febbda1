// SPDX-License-Identifier: MIT
/// \file belay/yjs/detail/yjs_coalescer.hpp
/// Coalescer: writes content that was typed letter by letter as if it had been typed at once.
#pragma once

#include <cstdint>  // std::uint64_t
#include <utility>  // std::exchange

#include <belay/yjs/detail/yjs_write.hpp>

namespace belay { inline namespace BELAY_ABI { namespace yjs::detail {

/// Joins neighbouring structs that were typed one after the other, as Yjs does in its own
/// documents. The bytes of a struct that was given to `put` must exist until the run has ended.
class Coalescer {
public:
    explicit Coalescer(UpdateWriter& writer) noexcept : writer_{writer} {}

    void put(const Struct& s) {
        if (runs_ && joins(s)) {
            if (single_) append(values_, last_.values());
            single_ = false;
            append(values_, s.values());
            len_ += s.len;
            last_ = s;
            return;
        }
        end_run();
        first_ = last_ = s;
        len_ = s.len;
        single_ = runs_ = true;
    }

    void end_run() {
        if (!std::exchange(runs_, false)) return;
        if (single_) return writer_.put(first_);
        Bytes& out = writer_.out();
        out.push_back(static_cast<std::byte>(first_.written_info()));
        append(out, first_.head());
        append_varuint(out, first_.kind() == ref::string ? values_.size() : len_);
        append(out, values_);
        writer_.wrote_struct();
        values_.clear();
    }

private:
    [[nodiscard]] bool joins(const Struct& s) const noexcept {
        if (s.kind() != last_.kind()) return false;
        switch (s.kind()) {
            case ref::gc:
            case ref::skip:
                return true;
            case ref::deleted:
            case ref::string:
            case ref::any:
                return s.has(has_origin) && s.origin == Id{s.client, s.clock - 1} &&
                       s.has(has_right_origin) == last_.has(has_right_origin) &&
                       s.right_origin == last_.right_origin;
            default:
                return false;
        }
    }

    UpdateWriter& writer_;
    Struct first_;
    Struct last_;
    Bytes values_;
    std::uint64_t len_ = 0;
    bool runs_ = false;
    bool single_ = false;
};

}}}  // namespace belay::yjs::detail
