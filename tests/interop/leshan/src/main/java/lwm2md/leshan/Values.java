package lwm2md.leshan;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Date;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.eclipse.leshan.core.link.DefaultLinkParser;
import org.eclipse.leshan.core.link.Link;
import org.eclipse.leshan.core.link.LinkParseException;
import org.eclipse.leshan.core.model.ResourceModel.Type;
import org.eclipse.leshan.core.node.LwM2mMultipleResource;
import org.eclipse.leshan.core.node.LwM2mNode;
import org.eclipse.leshan.core.node.LwM2mObject;
import org.eclipse.leshan.core.node.LwM2mObjectInstance;
import org.eclipse.leshan.core.node.LwM2mPath;
import org.eclipse.leshan.core.node.LwM2mResource;
import org.eclipse.leshan.core.node.LwM2mResourceInstance;
import org.eclipse.leshan.core.node.LwM2mSingleResource;
import org.eclipse.leshan.core.node.ObjectLink;
import org.eclipse.leshan.core.util.datatype.ULong;

/**
 * Leshan's nodes as a flat list of {@code {"path", "type", "value"}}, and back.
 *
 * <p>Bytes are hexadecimal, times are seconds since 1970, object links are {@code "3:0"}, links are
 * in CoRE link format.
 */
final class Values {
    private Values() {}

    /** Appends every value below {@code node}, which stands at {@code path}. */
    static void flatten(LwM2mPath path, LwM2mNode node, ArrayNode into) {
        if (node instanceof LwM2mObject object) {
            object.getInstances().forEach((id, child) -> flatten(path.append(id), child, into));
        } else if (node instanceof LwM2mObjectInstance instance) {
            instance.getResources().forEach((id, child) -> flatten(path.append(id), child, into));
        } else if (node instanceof LwM2mResource resource && resource.isMultiInstances()) {
            resource.getInstances().forEach((id, child) -> flatten(path.append(id), child, into));
        } else if (node instanceof LwM2mResource resource) {
            put(into, path, resource.getType(), resource.getValue());
        } else if (node instanceof LwM2mResourceInstance instance) {
            put(into, path, instance.getType(), instance.getValue());
        }
    }

    private static void put(ArrayNode into, LwM2mPath path, Type type, Object value) {
        ObjectNode entry = into.addObject().put("path", path.toString()).put("type", type.name());
        if (value instanceof Long number) {
            entry.put("value", number);
        } else if (value instanceof ULong number) {
            entry.put("value", number.toBigInteger());
        } else if (value instanceof Double number) {
            entry.put("value", number);
        } else if (value instanceof Boolean flag) {
            entry.put("value", flag);
        } else if (value instanceof byte[] bytes) {
            entry.put("value", HexFormat.of().formatHex(bytes));
        } else if (value instanceof Date time) {
            // Leshan keeps milliseconds; the protocol has none.
            entry.put("value", Math.floorDiv(time.getTime(), 1000L));
        } else if (value instanceof ObjectLink link) {
            entry.put("value", link.getObjectId() + ":" + link.getObjectInstanceId());
        } else if (value instanceof Link[] links) {
            List<String> texts = new ArrayList<>();
            for (Link link : links) {
                texts.add(link.toCoreLinkFormat());
            }
            entry.put("value", String.join(",", texts));
        } else {
            entry.put("value", String.valueOf(value));
        }
    }

    /**
     * The node to write to {@code target}: its values stand in {@code values}, or one in
     * {@code value} with its {@code type}.
     */
    static LwM2mNode node(LwM2mPath target, Command command) throws CommandException {
        JsonNode values = command.json.path("values");
        if (values.isMissingNode()) {
            Type type = type(command.json);
            Object value = value(type, command.json.path("value"));
            if (target.isResource()) {
                return LwM2mSingleResource.newResource(target.getResourceId(), value, type);
            } else if (target.isResourceInstance()) {
                return LwM2mResourceInstance.newInstance(target.getResourceInstanceId(), value, type);
            }
            throw Command.wrong("value", target + " takes a list of values");
        }
        if (target.isResource()) {
            return multiple(target, values, type(command.json));
        } else if (target.isObjectInstance()) {
            return instance(target, values);
        }
        throw Command.wrong("values", target + " takes one value");
    }

    /** The instance to create at {@code target}, or in it where that is an object. */
    static LwM2mObjectInstance newInstance(LwM2mPath target, Command command) throws CommandException {
        // Any number will do for the paths of values that the device is to number.
        LwM2mPath instance = target.isObject() ? target.append(0) : target;
        if (!instance.isObjectInstance()) {
            throw Command.wrong("path", target + " is no object or instance");
        }
        return instance(instance, command.json.path("values"));
    }

    /** A multiple resource; its type is given apart because the list may be empty. */
    private static LwM2mResource multiple(LwM2mPath target, JsonNode values, Type type) throws CommandException {
        Map<Integer, Object> instances = new TreeMap<>();
        for (JsonNode entry : values) {
            LwM2mPath path = pathBelow(target, entry);
            if (!path.isResourceInstance()) {
                throw Command.wrong("values", path + " is no resource instance");
            }
            instances.put(path.getResourceInstanceId(), value(type, entry.path("value")));
        }
        return LwM2mMultipleResource.newResource(target.getResourceId(), instances, type);
    }

    private static LwM2mObjectInstance instance(LwM2mPath target, JsonNode values) throws CommandException {
        List<LwM2mResource> resources = new ArrayList<>();
        Map<Integer, List<LwM2mResourceInstance>> multiple = new TreeMap<>();
        for (JsonNode entry : values) {
            LwM2mPath path = pathBelow(target, entry);
            Type type = type(entry);
            Object value = value(type, entry.path("value"));
            if (path.isResource()) {
                resources.add(LwM2mSingleResource.newResource(path.getResourceId(), value, type));
            } else if (path.isResourceInstance()) {
                multiple.computeIfAbsent(path.getResourceId(), id -> new ArrayList<>())
                        .add(LwM2mResourceInstance.newInstance(path.getResourceInstanceId(), value, type));
            } else {
                throw Command.wrong("values", path + " is no resource");
            }
        }
        multiple.forEach((id, instances) ->
                resources.add(new LwM2mMultipleResource(id, instances.get(0).getType(), instances)));
        return new LwM2mObjectInstance(target.getObjectInstanceId(), resources);
    }

    private static LwM2mPath pathBelow(LwM2mPath target, JsonNode entry) throws CommandException {
        LwM2mPath path = new Command(entry).path();
        if (!path.startWith(target)) {
            throw Command.wrong("values", path + " is not below " + target);
        }
        return path;
    }

    private static Type type(JsonNode entry) throws CommandException {
        String name = new Command(entry).text("type");
        try {
            return Type.valueOf(name);
        } catch (IllegalArgumentException e) {
            throw Command.wrong("type", "unknown type " + name);
        }
    }

    private static Object value(Type type, JsonNode value) throws CommandException {
        try {
            return switch (type) {
                case STRING -> expect(value.isTextual(), type, value).textValue();
                case INTEGER -> expect(value.canConvertToLong(), type, value).longValue();
                case UNSIGNED_INTEGER -> ULong.valueOf(
                        expect(value.isIntegralNumber(), type, value).bigIntegerValue());
                case FLOAT -> expect(value.isNumber(), type, value).doubleValue();
                case BOOLEAN -> expect(value.isBoolean(), type, value).booleanValue();
                case TIME -> new Date(
                        Math.multiplyExact(expect(value.canConvertToLong(), type, value).longValue(), 1000L));
                case OPAQUE -> HexFormat.of().parseHex(expect(value.isTextual(), type, value).textValue());
                case OBJLNK -> ObjectLink.decodeFromString(
                        expect(value.isTextual(), type, value).textValue());
                case CORELINK -> new DefaultLinkParser().parseCoreLinkFormat(
                        expect(value.isTextual(), type, value).textValue().getBytes(StandardCharsets.UTF_8));
                case NONE -> throw Command.wrong("type", "NONE has no value");
            };
        } catch (IllegalArgumentException | ArithmeticException | LinkParseException e) {
            throw Command.wrong("value", e.getMessage());
        }
    }

    private static JsonNode expect(boolean isRight, Type type, JsonNode value) throws CommandException {
        if (!isRight) {
            throw Command.wrong("value", "expected " + type + ", got " + value);
        }
        return value;
    }
}
