// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/edit_record.hpp
/// EditRecord: the edits of a Replica as the records of its journal.
#pragma once

#include <algorithm>     // std::copy
#include <cstdint>       // std::uint8_t, std::uint32_t
#include <optional>      // std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::move

#include <belay/core/bytes.hpp>
#include <belay/queue/codec_like.hpp>
#include <belay/sync/detail/sync_bytes.hpp>
#include <belay/sync/operation.hpp>
#include <belay/sync/sync_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The state of an edit, as a record of the journal states it.
enum class EditState : std::uint8_t {
    waiting,   ///< it is to be sent
    kept,      ///< the server did not take it, and may take it later
    rejected,  ///< the server will never take it
    dropped,   ///< the application has given it up, or the server has decided it
};

/// A record consists of these fields, with their sizes in bytes:
/// - tag, state, error (4, of SyncErrc), id (16), stamp (28), kind, flags, saw (28, flag 1);
/// - element, value (flag 2) and base (flag 4), each with its length in 4 bytes;
/// - the id that the edit had first (16, flag 8).
///
/// Numbers are little endian.
template <CodecLike Codec>
class EditRecord {
public:
    using Value = DecodedBy<Codec>;
    using Op = Operation<Value>;

    /// The length of a record without element, value and the parts that a flag adds.
    static constexpr std::size_t bytes_min = 56;

    EditState state = EditState::waiting;
    std::uint32_t error = 0;  // of SyncErrc; 0: none, or of another category
    Op operation{};

    /// The meaning of a record for an operation.
    struct Status {
        EditState state = EditState::waiting;
        std::error_code why{};
    };

    /// Returns: whether there are bytes for it.   Throws: what the codec throws; std::bad_alloc.
    [[nodiscard]] static bool encode(const Op& op, const Status& status, Codec& codec, Bytes& into,
                                     Bytes& scratch) {
        into.clear();
        const bool own = status.why.category() == sync_category();
        const OperationKind kind = op.kind();
        const bool valued = kind == OperationKind::add || kind == OperationKind::update;
        const Value* const base = op.base();
        Head head;
        head.put(tag);
        head.put(static_cast<std::byte>(status.state));
        head.put(own ? static_cast<std::uint32_t>(status.why.value()) : 0);
        head.put(op.id);
        head.put(op.stamp);
        head.put(static_cast<std::byte>(kind));
        const bool renamed = !is_no_id(op.formerly);
        head.put(static_cast<std::byte>((op.saw ? 1 : 0) | (valued ? 2 : 0) |
                                        (base != nullptr ? 4 : 0) | (renamed ? 8 : 0)));
        if (op.saw) head.put(*op.saw);
        into.insert(into.end(), head.bytes, head.bytes + head.size);
        bool right = append_text(into, as_bytes(op.element()));
        if (kind == OperationKind::interaction) {
            right = right && append_text(into, as_bytes(what_happened(op)));
        }
        if (valued) right = right && put_value(into, op.value(), codec, scratch);
        if (base != nullptr) right = right && put_value(into, *base, codec, scratch);
        if (renamed) into.insert(into.end(), op.formerly.begin(), op.formerly.end());
        return right;
    }
    /// Returns: nothing if the bytes are not those of a record.
    [[nodiscard]] static std::optional<EditRecord> decode(BytesView bytes, Codec& codec) {
        SyncReader in{bytes};
        EditRecord made;
        if (in.byte() != tag) return std::nullopt;
        const auto state = static_cast<unsigned>(in.byte());
        if (state > static_cast<unsigned>(EditState::dropped)) return std::nullopt;
        made.state = static_cast<EditState>(state);
        made.error = in.number();
        made.operation.id = in.id();
        made.operation.stamp = in.stamp();
        const auto kind = static_cast<unsigned>(in.byte());
        const auto flags = static_cast<unsigned>(in.byte());
        if (kind > static_cast<unsigned>(OperationKind::interaction)) return std::nullopt;
        if ((flags & 1U) != 0) made.operation.saw = in.stamp();
        std::string element{as_text(in.text())};
        std::optional<Value> value;
        std::optional<Value> base;
        std::string what;
        const auto of_kind = static_cast<OperationKind>(kind);
        if (of_kind == OperationKind::interaction) what = as_text(in.text());
        if ((flags & 2U) != 0) value = codec.decode(in.text());
        if ((flags & 4U) != 0) base = codec.decode(in.text());
        if ((flags & 8U) != 0) made.operation.formerly = in.id();
        const bool valued = of_kind == OperationKind::add || of_kind == OperationKind::update;
        const bool whole = in.whole() && value.has_value() == ((flags & 2U) != 0) &&
                           base.has_value() == ((flags & 4U) != 0);
        if (!whole || valued != value.has_value()) return std::nullopt;
        switch (of_kind) {
            case OperationKind::add:
                made.operation.action = AddElement<Value>{std::move(element), std::move(*value)};
                break;
            case OperationKind::update:
                made.operation.action =
                    UpdateElement<Value>{std::move(element), std::move(*value), std::move(base)};
                break;
            case OperationKind::remove:
                made.operation.action = RemoveElement{std::move(element)};
                break;
            case OperationKind::interaction:
                made.operation.action = Interaction{std::move(element), std::move(what)};
                break;
        }
        return made;
    }

private:
    static constexpr std::byte tag{0xED};

    /// The part of fixed length, which is appended at once.
    struct Head {
        void put(std::byte one) noexcept { bytes[size++] = one; }
        void put(std::uint32_t number) noexcept {
            store_le(bytes + size, number);
            size += 4;
        }
        void put(const Id& id) noexcept {
            std::copy(id.begin(), id.end(), bytes + size);
            size += id.size();
        }
        void put(const Stamp& stamp) noexcept {
            const auto wall = stamp.wall.time_since_epoch().count();
            store_le(bytes + size, static_cast<std::uint64_t>(wall));
            size += 8;
            put(stamp.counter);
            put(stamp.origin);
        }
        std::byte bytes[80];
        std::size_t size = 0;
    };
    [[nodiscard]] static bool put_value(Bytes& into, const Value& value, Codec& codec,
                                        Bytes& scratch) {
        scratch.clear();
        return codec.encode(value, scratch) && append_text(into, scratch);
    }
};

}}}  // namespace belay::detail
