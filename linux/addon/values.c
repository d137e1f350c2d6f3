/* Bytes that grow, and Node-API in short. Source: Node-API. */
#include "native.h"
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>

bool reserve(struct bytes *b, size_t more)
{
    if (b->capacity - b->length >= more)
        return true;
    size_t capacity = b->capacity == 0 ? RECEIVE_BYTES : b->capacity;
    while (capacity - b->length < more)
        capacity *= 2;
    uint8_t *data = realloc(b->data, capacity);
    if (data == NULL)
        return false;
    b->data = data;
    b->capacity = capacity;
    return true;
}

void release(struct bytes *b)
{
    free(b->data);
    *b = (struct bytes){0};
}

napi_value number(napi_env env, int value)
{
    napi_value result = NULL;
    napi_create_int32(env, value, &result);
    return result;
}

napi_value undefined(napi_env env)
{
    napi_value result = NULL;
    napi_get_undefined(env, &result);
    return result;
}

bool arguments(napi_env env, napi_callback_info info, size_t count, napi_value *values)
{
    size_t given = count;
    return napi_get_cb_info(env, info, &given, values, NULL, NULL) == napi_ok && given == count;
}

napi_value misuse(napi_env env)
{
    napi_throw_type_error(env, NULL, "linux addon called with wrong arguments");
    return NULL;
}

void *unwrap(napi_env env, napi_value value, const napi_type_tag *tag)
{
    bool matches = false;
    void *thing = NULL;
    if (napi_check_object_type_tag(env, value, tag, &matches) != napi_ok || !matches ||
        napi_unwrap(env, value, &thing) != napi_ok)
        return NULL;
    return thing;
}

napi_value wrap(napi_env env, void *thing, const napi_type_tag *tag, napi_finalize finalize)
{
    napi_value object;
    if (napi_create_object(env, &object) != napi_ok ||
        napi_type_tag_object(env, object, tag) != napi_ok ||
        napi_wrap(env, object, thing, finalize, NULL, NULL) != napi_ok)
        return NULL;
    return object;
}

napi_value to_buffer(napi_env env, const struct bytes *b)
{
    napi_value array_buffer;
    napi_value result = NULL;
    void *data = NULL;
    if (napi_create_arraybuffer(env, b->length, &data, &array_buffer) != napi_ok)
        return NULL;
    if (b->length > 0)
        memcpy(data, b->data, b->length);
    napi_create_typedarray(env, napi_uint8_array, b->length, array_buffer, 0, &result);
    return result;
}

bool byte_view(napi_env env, napi_value value, uint8_t **data, size_t *length)
{
    napi_typedarray_type type;
    void *start = NULL;
    if (napi_get_typedarray_info(env, value, &type, length, &start, NULL, NULL) != napi_ok ||
        type != napi_uint8_array || (uintptr_t)start % NLMSG_ALIGNTO != 0)
        return false;
    *data = start;
    return true;
}

bool read_path(napi_env env, napi_value value, char *path, bool *given)
{
    napi_valuetype type;
    size_t length = 0;
    if (napi_typeof(env, value, &type) != napi_ok)
        return false;
    *given = type != napi_null;
    if (!*given)
        return true;
    return type == napi_string &&
           napi_get_value_string_utf8(env, value, NULL, 0, &length) == napi_ok &&
           length > 0 && length < MAX_PATH_BYTES &&
           napi_get_value_string_utf8(env, value, path, MAX_PATH_BYTES, &length) == napi_ok &&
           strlen(path) == length;
}
