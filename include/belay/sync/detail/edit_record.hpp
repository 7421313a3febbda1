// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/edit_record.hpp
/// UndecidedEdit, EditRecord: an edit of a Replica, in memory and as a record of its journal.
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
#include <belay/sync/sync_result.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The state of an edit, as a record of the journal states it.
enum class EditState : std::uint8_t {
    waiting,     ///< it is to be sent
    kept,        ///< the server did not take it, and may take it later
    rejected,    ///< the server will never take it
    dropped,     ///< the application has given it up, or the server has decided it
    unreadable,  ///< the codec of this program rejects its values, which only the journal has
};

/// An edit that the server has not decided.
template <class Op>
struct UndecidedEdit {
    explicit UndecidedEdit(Op&& made) noexcept : operation{std::move(made)} {}

    Op operation;
    std::uint64_t number = 0;  // of its latest record
    std::uint64_t before = 0;  // the edit before it on its element; 0: none
    EditState state = EditState::waiting;
    EditState recorded = EditState::waiting;
    bool renews = false;  // after too_old it becomes an edit of now
    bool hidden = false;  // decided against it, or the local store has its result
    std::error_code why{};
    std::optional<Duration> wait{};

    [[nodiscard]] bool is_kept() const noexcept {
        return state == EditState::kept || state == EditState::rejected || is_unreadable();
    }
    /// Returns whether the next sync sends it.
    [[nodiscard]] bool is_due() const noexcept {
        return state == EditState::waiting ||
               (state == EditState::kept && why != SyncErrc::too_old);
    }
    /// Returns whether only the log has its values. It is a removal here.
    [[nodiscard]] bool is_unreadable() const noexcept { return state == EditState::unreadable; }
    [[nodiscard]] FailedOperation<Op> failed() const {
        if (!is_unreadable()) return {operation, why, state == EditState::kept, wait};
        FailedOperation<Op> one{operation, SyncErrc::unreadable};
        // An application may make the operation again, and that must not remove the element.
        one.operation.action = Interaction{std::string{operation.element()}, {}};
        return one;
    }
};

/// A record consists of these fields, with their sizes in bytes:
/// - tag, state, error (its value 3, its category 1, which is 0 for SyncErrc), id (16), stamp (28),
///   kind, flags, saw (28, flag 1);
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
    std::error_code error{};
    Op operation{};
    bool readable = true;  // otherwise the codec rejects a value, and `operation` is a removal

    /// The meaning of a record for an operation.
    struct Status {
        EditState state = EditState::waiting;
        std::error_code why{};
    };

    /// Returns: whether there are bytes for it.   Throws: what the codec throws; std::bad_alloc.
    [[nodiscard]] static bool encode(const Op& op, const Status& status, Codec& codec, Bytes& into,
                                     Bytes& scratch) {
        const OperationKind kind = op.kind();
        const bool valued = kind == OperationKind::add || kind == OperationKind::update;
        const Value* const base = op.base();
        const auto flags = (valued ? 2U : 0U) | (base != nullptr ? 4U : 0U);
        bool right = put_head(op, status, kind, flags, into);
        if (kind == OperationKind::interaction) {
            right = right && append_text(into, as_bytes(what_happened(op)));
        }
        if (valued) right = right && put_value(into, op.value(), codec, scratch);
        if (base != nullptr) right = right && put_value(into, *base, codec, scratch);
        put_formerly(op, into);
        return right;
    }
    /// Does the same for an operation whose values, which the codec rejects, are in `former`.
    [[nodiscard]] static bool encode_again(BytesView former, const Op& op, const Status& status,
                                           Bytes& into) {
        const std::optional<Fields> fields = Fields::of(former);
        if (!fields) return false;
        bool right = put_head(op, status, fields->kind, fields->flags & 6U, into);
        if ((fields->flags & 2U) != 0) right = right && append_text(into, fields->value);
        if ((fields->flags & 4U) != 0) right = right && append_text(into, fields->base);
        put_formerly(op, into);
        return right;
    }
    /// Returns: nothing if the bytes are not those of a record.   Throws: std::bad_alloc.
    [[nodiscard]] static std::optional<EditRecord> decode(BytesView bytes, Codec& codec) {
        std::optional<Fields> in = Fields::of(bytes);
        if (!in) return std::nullopt;
        EditRecord made{in->state, in->error, std::move(in->operation)};
        std::string element{in->element};
        std::optional<Value> value;
        std::optional<Value> base;
        if ((in->flags & 2U) != 0) value = decode_value(codec, in->value);
        if ((in->flags & 4U) != 0) base = decode_value(codec, in->base);
        made.readable = value.has_value() == ((in->flags & 2U) != 0) &&
                        base.has_value() == ((in->flags & 4U) != 0);
        if (!made.readable || in->kind == OperationKind::remove) {
            made.operation.action = RemoveElement{std::move(element)};
        } else if (in->kind == OperationKind::add) {
            made.operation.action = AddElement<Value>{std::move(element), std::move(*value)};
        } else if (in->kind == OperationKind::update) {
            made.operation.action =
                UpdateElement<Value>{std::move(element), std::move(*value), std::move(base)};
        } else {
            made.operation.action = Interaction{std::move(element), std::string{in->what}};
        }
        return made;
    }

private:
    static constexpr std::byte tag{0xED};

    /// The bytes of an error, whose category is 0 for SyncErrc.
    [[nodiscard]] static std::uint32_t bytes_of(const std::error_code& error) noexcept {
        const std::error_code known = error_known_elsewhere(error);
        const unsigned category = number_of_category(known.category());
        const auto value = static_cast<std::uint32_t>(known.value());
        if (value >= 1U << 24U) return static_cast<std::uint32_t>(SyncErrc::store_failed);
        return (category == 1 ? 0U : category << 24U) | value;
    }
    [[nodiscard]] static std::error_code error_in(std::uint32_t bytes) noexcept {
        const auto value = static_cast<int>(bytes & 0xFF'FFFFU);
        return value != 0 ? std::error_code{value, category_numbered(bytes >> 24U)}
                          : std::error_code{};
    }

    /// A record that is taken apart, with its values as bytes of it. `operation` has no action.
    struct Fields {
        [[nodiscard]] static std::optional<Fields> of(BytesView bytes) {
            SyncReader in{bytes};
            Fields made;
            if (in.byte() != tag) return std::nullopt;
            const auto state = static_cast<unsigned>(in.byte());
            if (state > static_cast<unsigned>(EditState::unreadable)) return std::nullopt;
            made.state = static_cast<EditState>(state);
            made.error = error_in(in.read<std::uint32_t>());
            in.field(made.operation.id);
            in.field(made.operation.stamp);
            const auto kind = static_cast<unsigned>(in.byte());
            if (kind > static_cast<unsigned>(OperationKind::interaction)) return std::nullopt;
            made.kind = static_cast<OperationKind>(kind);
            made.flags = static_cast<unsigned>(in.byte());
            if ((made.flags & 1U) != 0) made.operation.saw = in.read<Stamp>();
            made.element = as_text(in.text());
            if (made.kind == OperationKind::interaction) made.what = as_text(in.text());
            if ((made.flags & 2U) != 0) made.value = in.text();
            if ((made.flags & 4U) != 0) made.base = in.text();
            if ((made.flags & 8U) != 0) in.field(made.operation.formerly);
            const bool valued =
                made.kind == OperationKind::add || made.kind == OperationKind::update;
            if (!in.whole() || valued != ((made.flags & 2U) != 0)) return std::nullopt;
            return made;
        }

        EditState state = EditState::waiting;
        std::error_code error{};
        Op operation{};
        OperationKind kind{};
        unsigned flags = 0;
        std::string_view element{};
        std::string_view what{};
        BytesView value{};
        BytesView base{};
    };
    /// Puts the fields up to the element, also the flags for `saw` and `formerly`.
    [[nodiscard]] static bool put_head(const Op& op, const Status& status, OperationKind kind,
                                       unsigned flags, Bytes& into) {
        into.clear();
        Head head;
        head.put(tag);
        head.put(static_cast<std::byte>(status.state));
        head.put(bytes_of(status.why));
        head.put(op.id);
        head.put(op.stamp);
        head.put(static_cast<std::byte>(kind));
        flags |= (op.saw ? 1U : 0U) | (is_no_id(op.formerly) ? 0U : 8U);
        head.put(static_cast<std::byte>(flags));
        if (op.saw) head.put(*op.saw);
        into.insert(into.end(), head.bytes, head.bytes + head.size);
        return append_text(into, as_bytes(op.element()));
    }
    static void put_formerly(const Op& op, Bytes& into) {
        if (!is_no_id(op.formerly)) append_field(into, op.formerly);
    }
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
